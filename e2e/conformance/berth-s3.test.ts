import { describe, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { berthTarget, everything } from './berth.ts'
import { conformanceSuite } from './suite.ts'

const {
  BERTH_TEST_S3_ENDPOINT: endpoint,
  BERTH_TEST_S3_ACCESS_KEY: accessKey,
  BERTH_TEST_S3_SECRET_KEY: secretKey,
} = process.env

if (endpoint && accessKey && secretKey) {
  const s3 = { endpoint, bucket: `conformance-${process.pid}`, accessKey, secretKey }
  const berth = withBerth({ own: true, external: { s3 } })
  const target = () => ({ ...berthTarget(berth), chunkMinLength: String(5 << 20) })
  conformanceSuite('Berth on S3', target, everything)
} else {
  // oxlint-disable-next-line jest/no-disabled-tests -- there is no S3 server to be had, and the report says so
  describe.skip('OCI conformance: Berth on S3 (skipped: no S3 server)', () => {
    test('all of it', () => undefined)
  })
}
