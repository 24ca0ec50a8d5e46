import { existsSync } from 'node:fs'
import path from 'node:path'
import { startNats } from '@berth/standalone/embedded'
import { expect } from '@jest/globals'
import { startTestStack } from '../berth/stack.ts'
import { type S3Place, testS3Place } from '../servers/s3-place.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { describeMainJob } from './main-job.ts'

const s3 = testS3Place()

describeMainJob(
  'the main job, on a PostgreSQL, a NATS and an S3 that run already',
  async () => {
    const home = makeTemporaryFolder('nats')
    const nats = await startNats({ home, binary: process.env.BERTH_NATS_SERVER as string })
    const stack = await startTestStack({ external: { natsUrl: nats.url, s3: s3 as S3Place } })
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
