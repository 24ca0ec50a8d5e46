import { existsSync } from 'node:fs'
import path from 'node:path'
import { startNats } from '@berth/standalone/src/embedded/nats-server.ts'
import { expect } from '@jest/globals'
import { describeMainJob } from './main-job.ts'
import { makeTemporaryFolder, removeFolder } from './servers/temporary-folder.ts'
import { type S3Place, startTestStack } from './stack.ts'

const s3 = s3Place()

describeMainJob(
  'the main job, on a PostgreSQL, a NATS and an S3 that run already',
  async () => {
    const home = makeTemporaryFolder('nats')
    const nats = await startNats({ home, binary: process.env.BERTH_NATS_SERVER as string })
    const databaseUrl = process.env.BERTH_TEST_DATABASE_URL as string
    const stack = await startTestStack({ external: { databaseUrl, natsUrl: nats.url, s3: s3 as S3Place } })
    // It keeps nothing of these in its home, so it did start no servers of its own.
    for (const own of ['postgres', 'nats', 'blobs']) expect(existsSync(path.join(stack.home, own))).toBe(false)
    const stop = async () => {
      await stack.stop()
      await nats.stop()
      removeFolder(home)
    }
    return { stack, natsUrl: nats.url, stop }
  },
  s3 ? undefined : `no S3: ${process.env.BERTH_TEST_NO_S3}`,
)

function s3Place(): S3Place | undefined {
  const endpoint = process.env.BERTH_TEST_S3_ENDPOINT
  if (!endpoint) return undefined
  return {
    endpoint,
    bucket: process.env.BERTH_TEST_S3_BUCKET as string,
    accessKey: process.env.BERTH_TEST_S3_ACCESS_KEY as string,
    secretKey: process.env.BERTH_TEST_S3_SECRET_KEY as string,
  }
}
