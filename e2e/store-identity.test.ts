import path from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createDatabase, dropDatabase } from './databases.ts'
import { pushBlob } from './push.ts'
import { basic } from './requests.ts'
import { makeTemporaryFolder, removeFolder } from './servers/temporary-folder.ts'
import { environmentOf, startTestStack, type TestStack } from './stack.ts'
import { attemptStart, expectRefusal } from './start-attempt.ts'

let stack: TestStack
beforeAll(async () => {
  stack = await startTestStack()
}, 60_000)
afterAll(() => stack?.stop(), 60_000)

test('a second installation on the blob store of a first does not start, unless it is told to take it over', async () => {
  await pushBlob({ url: stack.url, authorization: basic(stack) }, 'team/app', Buffer.from('the only copy'))
  const { body } = await stack.api('GET', '/store')
  expect(body).toMatchObject({ identity: expect.stringMatching(/^[0-9a-f-]{36}$/), isShared: false })
  const folder = makeTemporaryFolder('second')
  const shared = process.env.BERTH_TEST_DATABASE_URL
  const databaseUrl = shared ? await createDatabase(shared) : undefined
  try {
    const env = { BERTH_PORT: '0', BERTH_BLOBS_DIR: path.join(stack.home, 'blobs') }
    const settings = {
      home: path.join(folder, 'home'),
      password: stack.password,
      ...(databaseUrl ? { databaseUrl } : {}),
    }
    const attempt = await attemptStart(environmentOf({ ...settings, options: { env } }))
    expectRefusal(attempt, /blob store is not of this installation/, new RegExp(`BERTH_STORE_ADOPT=${body.identity}`))
    // Stopped as soon as it says that it is ready.
    const adopting = { ...env, BERTH_STORE_ADOPT: body.identity }
    const adopted = await attemptStart(environmentOf({ ...settings, options: { env: adopting } }))
    expect(adopted.stdout).toContain('berth is ready')
  } finally {
    removeFolder(folder)
    if (databaseUrl) await dropDatabase(databaseUrl)
  }
  await stack.restart()
}, 120_000)
