import { commandsOf, type SyncCommands } from '@berth/commands'
import { type Fault, imageOf } from '@berth/registry-client/misbehaving-upstream'
import { createInternalClient, type InternalClient } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { environmentOf, pidOf, type Replica, startReplica } from '../berth/replicas.ts'
import { localRemote, make, repositoryPath } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth({ own: true, env: { BERTH_PROCESSES: 'true' } })
let other: Replica
const upstream = withUpstream()
let clients: InternalClient[] = []
let remoteId = ''
let via = ''
const base = 'replicated'
const upstreamName = 'team/app'
beforeAll(async () => {
  other = await startReplica(stack, 'sync')
  const { BERTH_SERVICE_KEY: serviceKey = '', BERTH_INTERNAL_URL = '' } = environmentOf(pidOf(stack, 'sync'))
  clients = [BERTH_INTERNAL_URL, other.internalUrl].map((baseUrl) =>
    createInternalClient({ baseUrl, from: 'registry', to: 'sync', serviceKey }),
  )
  const remote = { ...localRemote(base, upstream.url, '', { retries: 0 }), upstreamName: null }
  remoteId = (await make(stack, '/remotes', remote)).id
  const pullThrough = { remote: base, trigger: 'anonymous', ttlSeconds: 0 }
  via = (await make(stack, '/distributions', { name: base, basePath: base, access: 'public', pullThrough })).id
}, 120_000)
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()))
  await other?.stop()
}, 60_000)

/** Has a replica of sync bring what the tag stands for upstream. */
async function bring(replica: 0 | 1): Promise<SyncCommands['pull-through']['reply']> {
  const client = clients[replica]
  if (!client) throw new Error('no such replica')
  const name = `${base}/${upstreamName}`
  const request = { via, remoteId, host: upstream.host, upstreamName, name, reference: 'v1', actor: 'test' }
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
