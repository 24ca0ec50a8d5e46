import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type RequestListener, type Server } from 'node:http'
import { afterEach, describe, expect, test } from '@jest/globals'
import { readConfig } from './config.ts'
import { type CallOptions, callSettings, createInternalClient, type InternalClient } from './internal-client.ts'
import { createInternalServer, type InternalCall, type InternalHandler, rows } from './internal-server.ts'
import type { LocalPeers } from './local-call.ts'
import { createLogger } from './logger.ts'
import { badField } from './problem.ts'
import { closeServer, listen } from './service.ts'
import { privateKeyOf, publicKeys } from './testing/service-keys.ts'
import { until } from './testing/until.ts'

const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const log = createLogger({ service: 'test', silent: true })
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function served(handler: RequestListener): Promise<string> {
  const { server, port } = await listen(handler, { port: 0, host: '127.0.0.1' })
  closing.push(() => closeServer(server, 0))
  return `http://127.0.0.1:${port}`
}
const owner = (commands: Record<string, InternalHandler>) =>
  createInternalServer({ service: 'owner', publicKeys, log, commands })
function clientOf(
  baseUrl: string,
  more: {
    from?: string
    privateKey?: KeyObject
    to?: string
    callTimeoutSeconds?: number
    localPeers?: LocalPeers
  } = {},
): InternalClient {
  const client = createInternalClient({
    baseUrl,
    from: 'asker',
    to: 'owner',
    privateKey: privateKeyOf('asker'),
    ...more,
  })
  closing.push(() => client.close())
  return client
}
async function collect(client: InternalClient, options: CallOptions = {}): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const row of client.rows('rows', {}, options)) found.push(row)
  return found
}

describe('a command', () => {
  test('reaches its handler with who asks, and its answer comes back', async () => {
    const seen: InternalCall[] = []
    const url = await served(
      owner({
        add: async ({ a, b }: { a: number; b: number }, call) => {
          seen.push(call)
          return { sum: a + b }
        },
      }),
    )
    expect(await clientOf(url).call('add', { a: 1, b: 2 }, { requestId: 'r1' })).toEqual({ sum: 3 })
    expect(seen).toMatchObject([{ from: 'asker', requestId: 'r1', commandId: expect.any(String) }])
  })

  test('that a replica of the release before does not know is taken to another connection until one knows it', async () => {
    const [older, newer] = [owner({ add: async () => ({ sum: 0 }) }), owner({ subtract: async () => ({ sum: 1 }) })]
    const connections: unknown[] = []
    const url = await served((request, response) => {
      if (!connections.includes(request.socket)) connections.push(request.socket)
      ;(connections.indexOf(request.socket) === 0 ? older : newer)(request, response)
    })
    expect(await clientOf(url).call('subtract', {})).toEqual({ sum: 1 })
    const never = clientOf(await served(older), { callTimeoutSeconds: 1 }).call('subtract', {})
    await expect(never).rejects.toMatchObject({ status: 503, code: 'service_unavailable' })
  })

  test('is heard from the services alone that need it, over a socket and in the same process', async () => {
    const commands = { add: async () => ({ sum: 3 }), note: async () => ({}) }
    const callers = { add: ['asker'], note: ['other'] }
    const server = createInternalServer({ service: 'owner', publicKeys, log, commands, callers })
    const url = await served(server)
    for (const client of [clientOf(url), clientOf(url, { localPeers: () => server })]) {
      expect(await client.call('add', {})).toEqual({ sum: 3 })
      await expect(client.call('note', {})).rejects.toMatchObject({ status: 403, code: 'not_for_this_service' })
    }
    expect(() => createInternalServer({ service: 'owner', publicKeys, log, commands, callers: { add: [] } })).toThrow(
      'nobody says who may ask owner for note',
    )
  })

  test('is tried again while the owner is away, under the same id', async () => {
    const ids: unknown[] = []
    const inside = owner({ note: async () => ({ done: true }) })
    const url = await served((request, response) => {
      ids.push(request.headers['berth-command-id'])
      if (ids.length === 1) request.socket.destroy()
      else if (ids.length === 2) response.writeHead(503).end('{"code":"starting"}')
      else inside(request, response)
    })
    expect(await clientOf(url).call('note', {})).toEqual({ done: true })
    expect(ids).toHaveLength(3)
    expect(new Set(ids).size).toBe(1)
  })

  test('reaches an owner that begins to listen only later', async () => {
    const late = await listen(owner({}), { port: 0, host: '127.0.0.1' })
    await closeServer(late.server, 0)
    const client = clientOf(`http://127.0.0.1:${late.port}`)
    await expect(client.call('hello', {}, { timeoutMs: 1 })).rejects.toMatchObject({ code: 'service_unavailable' })
    const asked = client.call('hello', {})
    const server: Server = createServer(owner({ hello: async () => 'here' }))
    server.listen(late.port, '127.0.0.1')
    closing.push(() => closeServer(server, 0))
    expect(await asked).toBe('here')
  })

  test('waits as long for an owner as is set, 15 s unless it is', async () => {
    const url = await served(owner({ hang: () => new Promise(() => {}) }))
    const startedAt = performance.now()
    await expect(clientOf(url, { callTimeoutSeconds: 1 }).call('hang', {})).rejects.toMatchObject({ status: 503 })
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    expect(readConfig(callSettings, {})).toEqual({ callTimeoutSeconds: 15 })
  })

  test('that is not answered in time ends with 503', async () => {
    const url = await served(owner({ hang: () => new Promise(() => {}) }))
    const startedAt = performance.now()
    await expect(clientOf(url).call('hang', {}, { timeoutMs: 200 })).rejects.toMatchObject({
      status: 503,
      code: 'service_unavailable',
    })
    expect(performance.now() - startedAt).toBeLessThan(2_000)
  })

  test('ends when its caller gives up, and the owner is told', async () => {
    const asking = new AbortController()
    let told = false
    const url = await served(
      owner({
        hang: (_body, { signal }) => {
          const over = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
          asking.abort(new Error('given up'))
          return over.then(() => {
            told = true
          })
        },
      }),
    )
    await expect(clientOf(url).call('hang', {}, { signal: asking.signal })).rejects.toThrow('given up')
    await until(async () => told)
  })

  test('that is refused tells the caller field and hint', async () => {
    const url = await served(owner({ check: () => Promise.reject(badField('name', 'is taken', 'Choose another.')) }))
    await expect(clientOf(url).call('check', {})).rejects.toMatchObject({
      status: 400,
      code: 'invalid_field',
      options: { field: 'name', hint: 'Choose another.' },
    })
  })

  test('that fails in an unforeseen way tells nothing of the inside, and is not tried again', async () => {
    let calls = 0
    const url = await served(
      owner({
        fail: async () => {
          calls++
          throw new Error('hunter2')
        },
      }),
    )
    await expect(clientOf(url).call('fail', {})).rejects.toMatchObject({
      code: 'internal_error',
      message: expect.not.stringContaining('hunter2'),
    })
    expect(calls).toBe(1)
  })

  test('that is too large is read to its end and refused once, so that the caller hears why', async () => {
    const wereRead: Promise<boolean>[] = []
    const inside = owner({ note: async () => ({ done: true }) })
    const url = await served((request, response) => {
      // A connection that is cut under a body loses the answer, now and then.
      wereRead.push(new Promise((resolve) => response.once('close', () => resolve(request.complete))))
      inside(request, response)
    })
    const text = 'x'.repeat(100 << 20)
    await expect(clientOf(url).call('note', { text })).rejects.toMatchObject({ status: 413, code: 'body_too_large' })
    expect(await Promise.all(wereRead)).toEqual([true])
  })

  test.each([
    ['asked with a key of nobody', 'hello', { privateKey: stranger }, 'not_a_service'],
    ['asked under the name of another service', 'hello', { from: 'auth' }, 'not_a_service'],
  ])('%s is refused', async (_title, command, more, code) => {
    const url = await served(owner({ hello: async () => 'here' }))
    await expect(clientOf(url, more).call(command, {})).rejects.toMatchObject({ code })
  })

  test('a token for another service opens nothing', async () => {
    const url = await served((request, response) => {
      request.url = request.url?.replace('/internal/other/', '/internal/owner/')
      owner({ hello: async () => 'here' })(request, response)
    })
    await expect(clientOf(url, { to: 'other' }).call('hello', {})).rejects.toMatchObject({ code: 'not_a_service' })
  })

  test('without a token nothing is answered', async () => {
    const url = await served(owner({ hello: async () => 'here' }))
    expect((await fetch(`${url}/internal/owner/hello`, { method: 'POST' })).status).toBe(401)
  })

  test('an answer that is none of ours is an error of the owner', async () => {
    const url = await served((_request, response) => void response.writeHead(502).end('<html>bad gateway</html>'))
    await expect(clientOf(url).call('hello', {})).rejects.toMatchObject({ name: 'Problem', status: 502 })
  })
})

describe('rows', () => {
  const many = async function* (count: number, fail = false) {
    for (let i = 0; i < count; i++) yield { i, text: 'x'.repeat(100) }
    if (fail) throw new Error('broken')
  }

  test('all of them come, in order', async () => {
    const url = await served(owner({ rows: async () => rows(many(5_000)) }))
    const found = (await collect(clientOf(url))) as { i: number }[]
    expect(found.map(({ i }) => i)).toEqual(Array.from({ length: 5_000 }, (_, i) => i))
  })

  test.each([0, 3, 5_000])('a source that breaks after %d is an error, never a short answer', async (count) => {
    const url = await served(owner({ rows: async () => rows(many(count, true)) }))
    await expect(collect(clientOf(url))).rejects.toThrow(/cut off|terminated|other side closed|does not answer/)
  })

  test('an answer that ends cleanly but without its last line is an error', async () => {
    const url = await served((_request, response) => void response.end('{"i":0}\n{"i":1}\n'))
    await expect(collect(clientOf(url))).rejects.toMatchObject({ code: 'incomplete_reply' })
  })

  test('an owner that is away is a 503', async () => {
    await expect(collect(clientOf('http://127.0.0.1:1'))).rejects.toMatchObject({ code: 'service_unavailable' })
  })
})
