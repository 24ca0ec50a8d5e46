import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from '@jest/globals'
import { createDatabase, dropDatabase } from '../berth/databases.ts'
import { pushBlob } from '../berth/push.ts'
import { basic } from '../berth/requests.ts'
import { environmentOf, type StackOptions, startTestStack, type TestStack } from '../berth/stack.ts'
import { attemptStart, expectRefusal } from '../berth/start-attempt.ts'
import { testS3Place } from '../servers/s3-place.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const s3 = testS3Place()
const withS3 = s3 ? test : test.skip

test(
  'a second installation on the directory of a first does not start, unless it is told to take it over',
  () => secondInstallation({}),
  120_000,
)

withS3(
  `so it is on one bucket${s3 ? '' : ` (no S3: ${process.env.BERTH_TEST_NO_S3})`}`,
  () => secondInstallation(s3 ? { external: { s3 } } : {}),
  120_000,
)

test('an installation with content does not start on an empty directory, until it is told that the blobs are lost', async () => {
  const stack = await startTestStack()
  const folder = makeTemporaryFolder('empty')
  try {
    await pushBlob({ url: stack.url, authorization: basic(stack) }, 'team/app', Buffer.from('the only copy'))
    const { body } = await stack.api('GET', '/store')
    await stack.kill('SIGTERM')
    const { home, password, databaseUrl } = stack
    const attempt = (more: NodeJS.ProcessEnv = {}) => {
      const env = { BERTH_PORT: '0', BERTH_BLOBS_DIR: folder, ...more }
      return attemptStart(environmentOf({ home, password, ...(databaseUrl ? { databaseUrl } : {}), options: { env } }))
    }
    const remedy = new RegExp(`BERTH_BLOBS_DIR.* or, if that is lost, .*BERTH_STORE_ADOPT=${body.identity}`)
    expectRefusal(await attempt(), /the blob store is empty, and the database has content/, remedy)
    await stack.restart()
    await stack.kill('SIGTERM')
    expect((await attempt({ BERTH_STORE_ADOPT: body.identity })).stdout).toContain('berth is ready')
    expect((await attempt()).stdout).toContain('berth is ready')
  } finally {
    await stack.stop()
    removeFolder(folder)
  }
}, 120_000)

const journalsIn = async ({ home }: TestStack) =>
  (await readdir(path.join(home, 'blobs/staging')).catch(() => [])).filter((name) => name.startsWith('journal.'))

async function secondInstallation(options: StackOptions): Promise<void> {
  const stack = await startTestStack(options)
  const folder = makeTemporaryFolder('second')
  const shared = process.env.BERTH_TEST_DATABASE_URL
  const databaseUrl = shared ? await createDatabase(shared) : undefined
  try {
    await pushBlob({ url: stack.url, authorization: basic(stack) }, 'team/app', Buffer.from('the only copy'))
    const { body } = await stack.api('GET', '/store')
    expect(body).toMatchObject({ identity: expect.stringMatching(/^[0-9a-f-]{36}$/), isShared: false })
    const home = path.join(folder, 'home')
    const attempt = (more: NodeJS.ProcessEnv = {}) => {
      const directory = options.external ? {} : { BERTH_BLOBS_DIR: path.join(stack.home, 'blobs') }
      const env = { BERTH_PORT: '0', ...directory, ...more }
      const settings = { home, password: stack.password, ...(databaseUrl ? { databaseUrl } : {}) }
      return attemptStart(environmentOf({ ...settings, options: { ...options, env } }))
    }
    const remedy = new RegExp(`BERTH_STORE_ADOPT=${body.identity}`)
    const before = await journalsIn(stack)
    expectRefusal(await attempt(), /blob store is not of this installation/, remedy)
    // What the living one has acknowledged may be nowhere else.
    expect(await journalsIn(stack)).toEqual(before)
    // Stopped as soon as it says that it is ready.
    expect((await attempt({ BERTH_STORE_ADOPT: body.identity })).stdout).toContain('berth is ready')
    await stack.restart()
  } finally {
    await stack.stop()
    removeFolder(folder)
    if (databaseUrl) await dropDatabase(databaseUrl)
  }
}
