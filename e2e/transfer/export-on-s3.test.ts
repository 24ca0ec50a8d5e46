import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { pushRandomImage, type Target } from '../berth/push.ts'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { testS3Place } from '../servers/s3-place.ts'
import { exported } from './exporting.ts'

const s3 = testS3Place()
const group = s3 ? describe : describe.skip

group(
  `an export out of a bucket${s3 ? '' : ' (skipped: no S3 server; install Go, or set BERTH_TEST_S3_ENDPOINT)'}`,
  () => {
    const stack = withBerth({ own: true, external: s3 ? { s3 } : {} })
    const target = (): Target => ({ url: stack.url, authorization: basic(stack) })

    test('is downloaded as it was hashed, in ranges too, and goes into the bucket in parts', async () => {
      await pushRandomImage(target(), 'team/app', '1', [20_000_000, 300])
      const repositories = [{ name: 'team/app' }]
      const { exportId, archiveDigest, archiveBytes } = await exported(stack, {
        repositories,
        to: { kind: 'download' },
      })
      const hash = createHash('sha256')
      const half = 10_000_001
      for (const range of [`bytes=0-${half}`, `bytes=${half + 1}-${archiveBytes - 1}`]) {
        const answer = await fetch(`${stack.url}/api/v1/exports/${exportId}/download`, {
          headers: { authorization: basic(stack), range },
        })
        expect(answer.status).toBe(206)
        hash.update(Buffer.from(await answer.arrayBuffer()))
      }
      expect(`sha256:${hash.digest('hex')}`).toBe(archiveDigest)
      const wanted = { repositories, to: { kind: 'bucket', path: 'jan/all' }, chunkBytes: 16 << 20 }
      const parts = await exported(stack, wanted)
      expect([parts.archiveDigest, parts.parts]).toEqual([archiveDigest, 2])
      await exported(stack, { repositories, to: { kind: 'bucket', path: 'jan/layout' } })
      expect(await stack.api('POST', '/exports', wanted)).toMatchObject({
        status: 409,
        body: { code: 'target_exists' },
      })
    })
  },
)
