import { afterEach, expect, test } from '@jest/globals'
import { createInternalClient } from './internal-client.ts'
import { createInternalServer, type InternalCall, type InternalHandler } from './internal-server.ts'
import { createLogger } from './logger.ts'
import { badField } from './problem.ts'
import { privateKeyOf, publicKeys } from './testing/service-keys.ts'

const log = createLogger({ service: 'test', silent: true })
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A client of an owner in this process; nobody listens at its address. */
function clientOf(commands: Record<string, InternalHandler>, hasStarted = () => true) {
  const owner = createInternalServer({ service: 'owner', publicKeys, log, commands })
  const localPeers = (name: string) => (name === 'owner' && hasStarted() ? owner : undefined)
  const client = createInternalClient({
    baseUrl: 'http://127.0.0.1:1',
    from: 'asker',
    to: 'owner',
    privateKey: privateKeyOf('asker'),
    localPeers,
  })
  closing.push(() => client.close())
  return client
}

test('a service in the same process is told who asks, and answers', async () => {
  const seen: InternalCall[] = []
  const client = clientOf({
    add: async ({ a, b }: { a: number; b: number }, call) => {
      seen.push(call)
      return { sum: a + b }
    },
  })
  expect(await client.call('add', { a: 1, b: 2 }, { requestId: 'r1' })).toEqual({ sum: 3 })
  expect(seen).toMatchObject([{ from: 'asker', requestId: 'r1', commandId: expect.any(String) }])
})

test('neither side sees what the other does with its objects later', async () => {
  const kept = { list: [1] }
  const client = clientOf({
    keep: async (body: { list: number[] }) => {
      body.list.push(2)
      return kept
    },
  })
  const asked = { list: [0] }
  const reply = await client.call<{ list: number[] }>('keep', asked)
  reply.list.push(9)
  expect(asked).toEqual({ list: [0] })
  expect(kept).toEqual({ list: [1] })
})

test('a refusal reaches the caller as it was said, and a failure as no more than that', async () => {
  const client = clientOf({
    refuse: async () => {
      throw badField('name', 'is taken', 'Choose another.')
    },
    fail: async () => {
      throw new Error('a secret of the inside')
    },
  })
  await expect(client.call('refuse', {})).rejects.toMatchObject({
    status: 400,
    options: { field: 'name', hint: 'Choose another.' },
  })
  await expect(client.call('fail', {})).rejects.toMatchObject({
    status: 500,
    message: expect.not.stringContaining('secret'),
  })
  await expect(client.call('unheard', {})).rejects.toMatchObject({ status: 404 })
})

test('a command that takes longer than its caller waits is told so, and the caller gets 503', async () => {
  const client = clientOf({
    sleep: (_, call) =>
      new Promise((_resolve, reject) => call.signal.addEventListener('abort', () => reject(new Error()))),
  })
  await expect(client.call('sleep', {}, { timeoutMs: 20 })).rejects.toMatchObject({
    status: 503,
    code: 'service_unavailable',
  })
  const leaving = new AbortController()
  const asked = client.call('sleep', {}, { signal: leaving.signal })
  leaving.abort(new Error('the client has left'))
  await expect(asked).rejects.toThrow('the client has left')
})

test('a service that has not started yet is waited for', async () => {
  let asked = 0
  const client = clientOf({ note: async () => ({ done: true }) }, () => ++asked > 2)
  expect(await client.call('note', {})).toEqual({ done: true })
  expect(asked).toBe(3)
})
