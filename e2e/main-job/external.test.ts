import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from '@jest/globals'
import { startTestStack } from '../berth/stack.ts'
import { startNatsWithLogin } from '../servers/nats.ts'
import { type S3Place, testS3Place } from '../servers/s3-place.ts'
import { describeMainJob } from './main-job.ts'

const s3 = testS3Place()

describeMainJob(
  'the main job, on a PostgreSQL, a NATS and an S3 that run already',
  async () => {
    const nats = await startNatsWithLogin()
    const stack = await startTestStack({ external: { natsUrl: nats.url, s3: s3 as S3Place } })
    // It keeps nothing of these in its home, so it did start no servers of its own.
    for (const own of ['postgres', 'nats', 'blobs']) expect(existsSync(path.join(stack.home, own))).toBe(false)
    expect(readFileSync(stack.output, 'utf8')).toMatch(/the services share one login of NATS/)
    const stop = async () => {
      await stack.stop()
      await nats.stop()
    }
    return { stack, events: { url: nats.url }, stop }
  },
  s3 ? undefined : `no S3: ${process.env.BERTH_TEST_NO_S3}`,
)
