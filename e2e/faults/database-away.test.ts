import { readFileSync } from 'node:fs'
import path from 'node:path'
import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createDatabase, dropDatabase } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { basic, localRemote, make, startSync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import { type CutProxy, startCutProxy } from '../servers/cut-proxy.ts'

const name = 'away/image'
let proxy: CutProxy
let database = ''
let token = ''

// Else Berth could not stop: it ends what it has begun. Hooks run in the order in which they are written.
afterAll(() => proxy?.mend())
const stack = withBerth(async () => {
  const shared = process.env.BERTH_TEST_DATABASE_URL
  if (!shared) throw new Error('the test servers are not running')
  database = await createDatabase(shared)
  const url = new URL(database)
  const port = url.port || '5432'
  const folder = url.searchParams.get('host')
  proxy = await startCutProxy(
    folder ? { path: `${folder}/.s.PGSQL.${port}` } : { host: url.hostname, port: Number(port) },
  )
  url.search = ''
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  return { own: true, env: { BERTH_DATABASE_URL: url.href, BERTH_CALL_TIMEOUT_SECONDS: '3' } }
})
const upstream = withUpstream()

beforeAll(async () => {
  upstream.add(name, 'latest', imageOf('an image', 50_000, 60_000))
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0 }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  const asked = await fetch(`${stack.url}/token?service=berth&scope=repository:${name}:pull,push`, {
    headers: { authorization: basic(stack) },
  })
  token = ((await asked.json()) as { token: string }).token
}, 90_000)
afterAll(async () => {
  await proxy?.stop()
  await dropDatabase(database)
}, 60_000)

const requestsOf = (): [string, string, Record<string, string>][] => {
  const login = { authorization: basic(stack) }
  const bearer = { authorization: `Bearer ${token}` }
  return [
    ['GET', `/v2/${name}/manifests/latest`, {}],
    ['GET', `/v2/${name}/manifests/latest`, bearer],
    ['GET', `/v2/${name}/tags/list`, login],
    ['POST', `/v2/${name}/blobs/uploads/`, bearer],
    ['GET', '/token?service=berth', login],
    ['GET', '/api/v1/keys', {}],
    ...['repositories', 'distributions', 'remotes', 'syncs', 'tasks', 'users', 'builds', 'me', 'store'].map(
      (list): [string, string, Record<string, string>] => ['GET', `/api/v1/${list}`, login],
    ),
  ]
}

test('with the database away every door answers 503 with Retry-After and one line in the log, and goes on with it', async () => {
  const before = logged().length
  proxy.cut()
  try {
    for (const [method, where, headers] of requestsOf()) {
      const id = `away-${Math.random().toString(36).slice(2)}`
      const answer = await fetch(`${stack.url}${where}`, { method, headers: { ...headers, 'x-request-id': id } })
      expect({ where, status: answer.status, text: (await answer.text()).length > 0 }).toEqual({
        where,
        status: 503,
        text: true,
      })
      expect({ where, retry: answer.headers.get('retry-after') }).toEqual({
        where,
        retry: expect.stringMatching(/^\d+$/),
      })
      const lines = await until('the request is in the log', () => {
        const found = logged().filter((line) => line.includes(id))
        return found.length > 0 ? found : undefined
      })
      expect(lines).toHaveLength(1)
    }
    expect(
      logged()
        .slice(before)
        .filter((line) => line.includes('"stack"')),
    ).toEqual([])
  } finally {
    proxy.mend()
  }
  await until('Berth serves again', async () => (await stack.api('GET', '/repositories')).status === 200)
  expect((await fetch(`${stack.url}/v2/${name}/tags/list`)).status).toBe(200)
}, 60_000)

test('a task that meets a database that is away is tried again, and completes when it is back', async () => {
  const held = Promise.withResolvers<void>()
  const asked = new Promise<void>((resolve) => {
    upstream.when(/GET .*blobs/, ({ behave }) => {
      resolve()
      void held.promise.then(behave)
    })
  })
  const { id } = await startSync(stack, name, name)
  await asked
  proxy.cut()
  held.resolve()
  await until('the sync meets it', () => logged().some((line) => line.includes(id) && /is away/.test(line)), 30_000)
  proxy.mend()
  await until('Berth serves again', async () => (await stack.api('GET', '/repositories')).status === 200)
  expect(await stack.waitForTask(id)).toMatchObject({ state: 'completed', result: { version: 1, created: true } })
  expect((await fetch(`${stack.url}/v2/${name}/manifests/latest`)).status).toBe(200)
}, 90_000)

function logged(): string[] {
  return readFileSync(path.join(stack.home, 'berth.log'), 'utf8').split('\n')
}
