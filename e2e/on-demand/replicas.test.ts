import { createHash } from 'node:crypto'
import { commandsOf, type SyncCommands, storedGeneration } from '@berth/commands'
import { type Fault, imageOf } from '@berth/registry-client/misbehaving-upstream'
import { createInternalClient, type InternalClient } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { environmentOf, pidOf, type Replica, startReplica } from '../berth/replicas.ts'
import { localRemote, make, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth({ own: true, env: { BERTH_PROCESSES: 'true' } })
let other: Replica
const upstream = withUpstream()
let clients: InternalClient[] = []
let count = 0
beforeAll(async () => {
  other = await startReplica(stack, 'sync')
  const { BERTH_SERVICE_KEY: serviceKey = '', BERTH_INTERNAL_URL = '' } = environmentOf(pidOf(stack, 'sync'))
  clients = [BERTH_INTERNAL_URL, other.internalUrl].map((baseUrl) =>
    createInternalClient({ baseUrl, from: 'registry', to: 'sync', serviceKey }),
  )
}, 120_000)
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()))
  await other?.stop()
}, 60_000)

/** A layer that stays upstream until it is pulled. */
async function deferredLayer(sizeBytes: number) {
  const name = `replicated/${++count}`
  const image = imageOf(name, sizeBytes)
  upstream.add(name, 'latest', image)
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { policy: 'on_demand' }))
  await make(stack, '/repositories', { name })
  await sync(stack, name, name)
  return { digest: image.layers[0]?.digest ?? ('' as never), sizeBytes }
}
async function read(client: InternalClient | undefined, wanted: SyncCommands['fetch-blob']['request']) {
  if (!client) throw new Error('no such replica')
  const { headers, body } = await commandsOf<SyncCommands>(client).bytes('fetch-blob', wanted)
  const hash = createHash('sha256')
  for await (const chunk of body as AsyncIterable<Buffer>) hash.update(chunk)
  return headers[storedGeneration] === undefined ? `sha256:${hash.digest('hex')}` : 'stored'
}
const fetchesOf = (digest: string) =>
  upstream.seen.filter(({ method, path }) => method === 'GET' && path.endsWith(digest))
/** Gives half of the bytes, and the rest when it is told to. */
function halfUntil(go: Promise<void>): Fault {
  return ({ response, answer }) => {
    response.writeHead(answer.status, answer.headers)
    response.write(answer.body.subarray(0, answer.body.length >> 1))
    void go.then(() => response.end(answer.body.subarray(answer.body.length >> 1)))
  }
}

test('two replicas of sync that are asked for one layer fetch it once', async () => {
  const wanted = await deferredLayer(3_000_000)
  const go = Promise.withResolvers<void>()
  upstream.when(new RegExp(wanted.digest), halfUntil(go.promise), 1)
  const reads = [...clients, ...clients].map((client) => read(client, wanted))
  await until('it is asked for', () => fetchesOf(wanted.digest).length > 0)
  go.resolve()
  expect(new Set(await Promise.all(reads))).toEqual(new Set([wanted.digest]))
  expect(fetchesOf(wanted.digest)).toHaveLength(1)
}, 60_000)

test('when the replica that fetches a layer is killed, another one does', async () => {
  const wanted = await deferredLayer(3_000_000)
  const never = Promise.withResolvers<void>()
  upstream.when(new RegExp(wanted.digest), halfUntil(never.promise), 1)
  const lost = read(clients[1], wanted).catch((error: unknown) => error)
  await until('it is asked for', () => fetchesOf(wanted.digest).length > 0)
  process.kill(other.pid, 'SIGKILL')
  expect(await lost).toBeInstanceOf(Error)
  expect(await read(clients[0], wanted)).toBe(wanted.digest)
  expect(fetchesOf(wanted.digest)).toHaveLength(2)
}, 60_000)
