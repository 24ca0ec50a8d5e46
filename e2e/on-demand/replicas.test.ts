import { createHash, type KeyObject } from 'node:crypto'
import { commandsOf, type SyncCommands, storedGeneration } from '@berth/commands'
import { type Fault, imageOf } from '@berth/registry-client/misbehaving-upstream'
import { createInternalClient, type InternalClient, readServicePrivateKey } from '@berth/service'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { environmentOf, pidOf, type Replica, startReplica } from '../berth/replicas.ts'
import { localRemote, make, repositoryPath, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth({ own: true, env: { BERTH_PROCESSES: 'true' } })
let other: Replica
const upstream = withUpstream()
let clients: InternalClient[] = []
beforeAll(async () => {
  other = await startReplica(stack, 'sync')
  const { BERTH_INTERNAL_URL = '' } = environmentOf(pidOf(stack, 'sync'))
  const { BERTH_SERVICE_PRIVATE_KEY = '' } = environmentOf(pidOf(stack, 'registry'))
  const privateKey = readServicePrivateKey(BERTH_SERVICE_PRIVATE_KEY) as KeyObject
  clients = [BERTH_INTERNAL_URL, other.internalUrl].map((baseUrl) =>
    createInternalClient({ baseUrl, from: 'registry', to: 'sync', privateKey }),
  )
}, 120_000)
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()))
  await other?.stop()
}, 60_000)

describe('what is pulled through', () => {
  let remoteId = ''
  let via = ''
  const base = 'replicated'
  const upstreamName = 'team/app'
  beforeAll(async () => {
    const remote = { ...localRemote(base, upstream.url, '', { retries: 0 }), upstreamName: null }
    remoteId = (await make(stack, '/remotes', remote)).id
    const pullThrough = { remote: base, trigger: 'anonymous', ttlSeconds: 0 }
    via = (await make(stack, '/distributions', { name: base, basePath: base, access: 'public', pullThrough })).id
  }, 30_000)

  /** Has a replica of sync bring what the tag stands for upstream. */
  async function bring(replica: 0 | 1): Promise<SyncCommands['pull-through']['reply']> {
    const client = clients[replica]
    if (!client) throw new Error('no such replica')
    const name = `${base}/${upstreamName}`
    const request = {
      via,
      remoteId,
      host: upstream.host,
      upstreamName,
      name,
      reference: 'v1',
      actor: { id: null, name: 'test' },
    }
    return commandsOf<SyncCommands>(client).call('pull-through', request)
  }
  async function stored(): Promise<string> {
    const path = repositoryPath(`${base}/${upstreamName}`)
    const { latestVersion } = (await stack.api('GET', path)).body
    return (await stack.api('GET', `${path}/versions/${latestVersion}/content?type=tag`)).body.items[0].digest
  }
  /** Answers the next question about the tag with what it stands for now, but only when told to. */
  function holdNext(): { asked: Promise<void>; answer: () => void } {
    const [asked, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const fault: Fault = ({ behave }) => {
      asked.resolve()
      void go.promise.then(behave)
    }
    upstream.when(/HEAD .*\/manifests\/v1$/, fault, 1)
    return { asked: asked.promise, answer: () => go.resolve() }
  }
  const image = (name: string) => {
    const made = imageOf(name, 1_000)
    upstream.add(upstreamName, 'v1', made)
    return made.manifest.digest
  }

  test('of two replicas that bring one tag the slower does not put back what was there before', async () => {
    image('first')
    await bring(0)
    image('older')
    const held = holdNext()
    const slower = bring(0)
    await held.asked
    const newer = image('newer')
    expect(await bring(1)).toEqual({ digest: newer, changed: true })
    held.answer()
    expect(await slower).toEqual({ digest: newer, changed: false })
    expect(await stored()).toBe(newer)
  }, 60_000)

  test('nor what was there for a while, when the tag is back where it was', async () => {
    const settled = image('settled')
    await bring(0)
    image('for a while')
    const held = holdNext()
    const slower = bring(0)
    await held.asked
    image('settled')
    expect(await bring(1)).toEqual({ digest: settled, changed: false })
    held.answer()
    expect(await slower).toEqual({ digest: settled, changed: false })
    expect(await stored()).toBe(settled)
  }, 60_000)

  test('and who asked after the answer of the other moves the tag at once', async () => {
    image('before')
    await bring(0)
    const after = image('after')
    const asked = upstream.seen.length
    expect(await bring(1)).toEqual({ digest: after, changed: true })
    expect(
      upstream.seen.slice(asked).filter(({ method, path }) => method === 'HEAD' && path.endsWith('/v1')),
    ).toHaveLength(1)
  }, 60_000)
})

// The last one: it kills a replica.
describe('what stays upstream until it is pulled', () => {
  let count = 0

  /** A layer that stays upstream until it is pulled. */
  async function deferredLayer(sizeBytes: number) {
    const name = `deferred/${++count}`
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
})
