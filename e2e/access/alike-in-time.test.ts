import { readFileSync } from 'node:fs'
import path from 'node:path'
import { startPostgres } from '@berth/standalone/embedded'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic, make, sha256 } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { apiAs, basicOf, grant, makeRobot, makeUser, tokenFor } from './people.ts'

const home = makeTemporaryFolder('statements')
let postgres: Awaited<ReturnType<typeof startPostgres>> | undefined
const databaseUrl = () => postgres?.url ?? ''
afterAll(async () => {
  await postgres?.stop()
  removeFolder(home)
})
const stack = withBerth(async () => {
  postgres = await startPostgres({ home, durable: false })
  return { own: true, embeddedDatabase: true, env: { BERTH_DATABASE_URL: postgres.url } }
})
const [secret, missing] = ['theirs/secret', 'theirs/missing']
const own = 'ours/app'
let ann: Login
let layer = ''
let digest = ''
const logFile = path.join(home, 'postgres', 'log')

beforeAll(async () => {
  const admin = { url: stack.url, authorization: basic(stack) }
  ann = await makeUser(stack, 'ann')
  await grant(stack, { user: 'ann' }, 'owner', 'namespace:ours')
  const image = await pushRandomImage(admin, secret, '1')
  digest = image.digest
  layer = image.layers[0] ?? ''
  await pushRandomImage(admin, own, '1')
  await make(stack, '/remotes', { name: secret, url: 'https://registry.example', upstreamName: 'a/b' })
  await makeRobot(stack, 'secret', 'theirs')
  // The first login is looked up, later ones are known for a while.
  await apiAs(stack, ann, 'GET', '/me')
  await query(databaseUrl(), 'alter system set log_min_duration_statement = 0')
  await query(databaseUrl(), 'select pg_reload_conf()')
}, 120_000)

const times = 6
let asked = 0

/** The statements that a request makes the database run, with how often: of several runs what all of them have, for loops run beside. */
async function statementsOf(send: () => Promise<Response>): Promise<Record<string, number>> {
  let common: Record<string, number> | undefined
  for (let n = 0; n < times; n++) {
    const mark = `/* mark ${++asked} */`
    await query(databaseUrl(), `select 1 ${mark}`)
    await (await send()).arrayBuffer()
    await query(databaseUrl(), `select 2 ${mark}`)
    const log = readFileSync(logFile, 'utf8')
    const [, between = ''] = log.split(mark)
    const counts: Record<string, number> = {}
    for (const entry of between.split(/\n(?=\d{4}-)/)) {
      const [, statement] = /ms {2}(?:statement|execute [^:]*): (.*)/s.exec(entry) ?? []
      if (statement && !statement.startsWith('select 2')) counts[statement] = (counts[statement] ?? 0) + 1
    }
    const before = common ?? counts
    common = Object.fromEntries(
      Object.keys(before).flatMap((text) => {
        const count = Math.min(before[text] ?? 0, counts[text] ?? 0)
        return count > 0 ? [[text, count]] : []
      }),
    )
  }
  return common ?? {}
}

type Door = 'nobody' | 'Basic' | 'a token'
async function headersOf(door: Door, name: string): Promise<Record<string, string>> {
  if (door === 'nobody') return {}
  if (door === 'Basic') return { authorization: basicOf(ann) }
  return {
    authorization: `Bearer ${await tokenFor(stack, ann, `repository:${name}:pull,push`, `repository:${own}:pull,push`)}`,
  }
}

const enc = encodeURIComponent
test.each<[Door, string, string, (name: string) => string]>([
  ['Basic', 'GET', 'a repository', (name) => `/api/v1/repositories/${enc(name)}`],
  ['Basic', 'GET', 'its tags', (name) => `/api/v1/repositories/${enc(name)}/tags`],
  ['Basic', 'GET', 'a distribution', (name) => `/api/v1/distributions/${enc(name)}`],
  ['Basic', 'GET', 'the distributions of a repository', (name) => `/api/v1/distributions?repository=${enc(name)}`],
  ['Basic', 'DELETE', 'a remote', (name) => `/api/v1/remotes/${enc(name)}`],
  ['Basic', 'GET', 'the runs into a repository', (name) => `/api/v1/syncs?repository=${enc(name)}`],
  ['Basic', 'GET', 'a robot', (name) => `/api/v1/robots/${enc(name)}`],
  ['Basic', 'GET', 'what one may', (name) => `/api/v1/access/check?action=pull&on=${enc(`repository:${name}`)}`],
  ...(['nobody', 'Basic', 'a token'] as const).flatMap((door): [Door, string, string, (name: string) => string][] => [
    [door, 'GET', 'a manifest by tag', (name) => `/v2/${name}/manifests/1`],
    [door, 'GET', 'a manifest by digest', (name) => `/v2/${name}/manifests/${digest}`],
    [door, 'HEAD', 'a layer', (name) => `/v2/${name}/blobs/${layer}`],
    [door, 'GET', 'a list of tags', (name) => `/v2/${name}/tags/list`],
    [door, 'POST', 'an upload', (name) => `/v2/${name}/blobs/uploads/`],
  ]),
])(
  '%s, %s of %s costs the database the same where it is private and where it is missing',
  async (door, method, _what, at) => {
    const [there, not] = [secret, missing]
    const [toThere, toMissing] = [await headersOf(door, there), await headersOf(door, not)]
    const send = (name: string, headers: Record<string, string>) => () =>
      fetch(`${stack.url}${at(name)}`, { method, headers })
    const ofThere = await statementsOf(send(there, toThere))
    expect(ofThere).toEqual(await statementsOf(send(not, toMissing)))
    if (door === 'Basic') expect(Object.keys(ofThere)).not.toEqual([])
  },
)

test('a mount of a layer of another team costs the database the same as one of a layer that nobody has', async () => {
  const headers = await headersOf('Basic', own)
  const mount = (wanted: string) => () =>
    fetch(`${stack.url}/v2/${own}/blobs/uploads/?mount=${wanted}`, { method: 'POST', headers })
  expect(await statementsOf(mount(layer))).toEqual(await statementsOf(mount(sha256('nothing'))))
})
