import { describe, test } from '@jest/globals'
import { everything, startBerthTarget } from './berth.ts'
import { conformanceSuite } from './suite.ts'

const {
  BERTH_TEST_S3_ENDPOINT: endpoint,
  BERTH_TEST_S3_ACCESS_KEY: accessKey,
  BERTH_TEST_S3_SECRET_KEY: secretKey,
} = process.env

if (endpoint && accessKey && secretKey) {
  const s3 = { endpoint, bucket: `conformance-${process.pid}`, accessKey, secretKey }
  conformanceSuite('Berth on S3', () => startBerthTarget({ external: { s3 } }), everything)
} else {
  // oxlint-disable-next-line jest/no-disabled-tests -- there is no S3 server to be had, and the report says so
  describe.skip('OCI conformance: Berth on S3 (skipped: no S3 server)', () => {
    test('all of it', () => undefined)
  })
}
