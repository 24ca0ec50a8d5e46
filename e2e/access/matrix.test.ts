import { mergeDocuments } from '@berth/standalone/origin'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { basic, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { type OpenApiDocument, operationsOf } from '../hostile/document.ts'
import { type Role, type Row, roles, type Things, table } from './matrix-table.ts'

const stack = withBerth({ own: true })
const password = 'correct horse battery'
const namespace = 'team'
const rows = Object.entries(table).flatMap(([id, row]) => [row].flat().map((one): [string, Row] => [id, one]))
const operations = operationsOf(mergeDocuments() as unknown as OpenApiDocument)
let count = 0
const thingNames = [
  'namespace',
  'repository',
  'distribution',
  'remote',
  'user',
  'group',
  'robot',
  'role',
  'grant',
  'schedule',
  'webhook',
  'fresh',
]
/** Every role, and who has none and made what is asked about. */
type Caller = Role | 'maker'
const nameOf = (caller: Caller) => `the-${caller}`
const basicOf = (caller: Caller) => `Basic ${btoa(`${nameOf(caller)}:${password}`)}`

beforeAll(async () => {
  await make(stack, '/namespaces', { name: namespace })
  await make(stack, '/users', { name: nameOf('maker'), password })
  for (const role of roles) {
    await make(stack, '/users', { name: nameOf(role), password, admin: role === 'admin' })
    if (role !== 'nobody' && role !== 'admin')
      await make(stack, '/grants', { to: { user: nameOf(role) }, role, on: `namespace:${namespace}` })
  }
}, 120_000)

/** Which things a row names. */
function namedBy({ send: sendOf }: Row): Set<string> {
  const placeholders = Object.fromEntries(thingNames.map((name) => [name, `_${name}_`])) as Things
  const sent = JSON.stringify(sendOf(placeholders))
  return new Set(thingNames.filter((name) => sent.includes(`_${name}_`)))
}

async function makeAs(authorization: string, path: string, body: object): Promise<{ id: string }> {
  const headers = { authorization, 'content-type': 'application/json' }
  const answer = await fetch(`${stack.url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  expect(answer.status).toBe(201)
  return (await answer.json()) as { id: string }
}

/** What one request is about, made anew so that it may be spoilt: by an administrator, so that no role owns it, or by its owner. */
async function makeThings(row: Row, by: 'name' | 'id' = 'name', as = basic(stack)): Promise<Things> {
  const wanted = namedBy(row)
  const name = `${namespace}/thing-${++count}`
  const plain = `thing-${count}`
  const made: Record<string, string> = {}
  const makeIf = async (things: string[], path: string, body: object) => {
    if (!things.some((thing) => wanted.has(thing))) return
    for (const thing of things) made[thing] = (await makeAs(as, path, body)).id
  }
  await makeIf(['repository'], '/repositories', { name })
  if (wanted.has('distribution') || wanted.has('grant')) {
    if (!made.repository) await makeAs(as, '/repositories', { name })
    await makeIf(['distribution'], '/distributions', { name, basePath: name, repository: name })
  }
  await makeIf(['remote'], '/remotes', { name, url: 'https://registry.example', upstreamName: 'a/b' })
  if (wanted.has('user') || wanted.has('grant')) await make(stack, '/users', { name: plain, password })
  await makeIf(['group'], '/groups', { name: `group-of-${plain}` })
  await makeIf(['role'], '/roles', { name: plain, verbs: ['read'] })
  await makeIf(['robot'], '/robots', { name: `bot-${plain}`, namespace })
  await makeIf(['grant'], '/grants', { to: { user: plain }, role: 'puller', on: `repository:${name}` })
  await makeIf(['schedule'], '/schedules', { name, cron: '@yearly', kind: 'gc', parameters: { dryRun: true } })
  await makeIf(['webhook'], '/webhooks', { name, url: 'https://example.org/', active: false })
  const idOr = (thing: string) => (by === 'id' ? (made[thing] ?? name) : name)
  return {
    namespace,
    repository: idOr('repository'),
    distribution: idOr('distribution'),
    remote: idOr('remote'),
    user: plain,
    group: `group-of-${plain}`,
    role: plain,
    robot: `${namespace}/bot-${plain}`,
    grant: made.grant ?? '',
    schedule: idOr('schedule'),
    webhook: idOr('webhook'),
    fresh: `${namespace}/fresh-${count}`,
  }
}

async function send(role: Caller | undefined, row: Row, things: Things): Promise<string> {
  const { method, path, body } = row.send(things)
  const answer = await fetch(`${stack.url}/api/v1${path}`, {
    method,
    headers: {
      ...(role ? { authorization: basicOf(role) } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  if (answer.ok) {
    await answer.body?.cancel()
    return 'allowed'
  }
  const { code, detail } = (await answer.json()) as { code: string; detail: string }
  if (answer.status === 401 && code === 'login_required') return 'no login'
  if (answer.status === 403 && code === 'not_allowed') return 'not allowed'
  const { repository, distribution, remote, namespace: space, robot, grant, schedule, webhook } = things
  const names = [repository, distribution, remote, space, robot, grant, schedule, webhook]
  // As for what is not there.
  if (answer.status === 404 && names.some((name) => detail.includes(`"${name}"`) && code.endsWith('_not_found')))
    return 'not seen'
  return 'allowed'
}

const rankOf = (role: Role) => roles.indexOf(role)

test('every route of the API is in the table', () => {
  const missing = operations.map(({ id }) => id).filter((id) => !(id in table))
  expect(missing).toEqual([])
})

const named = rows.map(([id, row]): [string, Row] => [row.part ? `${id}, ${row.part},` : id, row])
const withIds = ['repository', 'distribution', 'remote', 'schedule', 'webhook']
// Grants are given by names: an id is known to auth a moment after its object was made.
const byId = named.filter(
  ([name, row]) => !name.startsWith('createGrant') && withIds.some((thing) => namedBy(row).has(thing)),
)
const ways = [
  ...named.map(([name, row]): ['name' | 'id', string, Row] => ['name', name, row]),
  ...byId.map(([name, row]): ['name' | 'id', string, Row] => ['id', name, row]),
]

test.each(ways)(
  'by %s, %s is for who has the right role on the namespace, and for nobody else',
  async (by, _name, row) => {
    const needs = row.needs === 'everybody' || row.needs === 'anybody' ? 'nobody' : row.needs
    const found: Record<string, string> = {}
    const wanted: Record<string, string> = {}
    const things = await makeThings(row, by)
    for (const role of roles) {
      const isAllowed = rankOf(role) >= rankOf(needs)
      const outcome = await send(role, row, isAllowed ? await makeThings(row, by) : things)
      found[role] = outcome === 'not seen' ? 'not allowed' : outcome
      wanted[role] = isAllowed ? 'allowed' : 'not allowed'
    }
    expect(found).toEqual(wanted)
    expect(await send(undefined, row, things)).toBe(row.needs === 'anybody' ? 'allowed' : 'no login')
  },
)

const ownable = ['repository', 'distribution', 'remote']
const ofOwners = named.filter(([, row]) => {
  const things = namedBy(row)
  return roles.includes(row.needs as Role) && things.size > 0 && [...things].every((thing) => ownable.includes(thing))
})

test.each(ofOwners)(
  '%s is for who made all that it names, where an owner of the namespace may, but to make it public',
  async (name, row) => {
    const may = rankOf(row.needs as Role) <= rankOf('owner') && !name.includes('public')
    const made = await make(stack, '/grants', { to: { user: nameOf('maker') }, role: 'owner', on: `${namespace}/*` })
    const things = await makeThings(row, 'name', basicOf('maker'))
    expect((await stack.api('DELETE', `/grants/${made.id}`)).status).toBe(204)
    expect(await send('maker', row, things)).toBe(may ? 'allowed' : 'not allowed')
    // It owns those and no others.
    expect(await send('maker', row, await makeThings(row))).toMatch(/^not (allowed|seen)$/)
  },
)

describe('who made a repository', () => {
  const as = async (user: string, method: string, path: string, body?: object) => {
    const answer = await fetch(`${stack.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Basic ${btoa(`${user}:${password}`)}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    return { status: answer.status, body: (await answer.json().catch(() => ({}))) as Record<string, unknown> }
  }

  test('owns it, though the namespace is not its: all but to publish it, and no other one there', async () => {
    for (const name of ['maker', 'other-maker']) {
      await make(stack, '/users', { name, password })
      await make(stack, '/grants', { to: { user: name }, role: 'pusher', on: 'shared/*' })
    }
    const [own, other] = ['/repositories/shared%2Fown', '/repositories/shared%2Fother']
    expect((await as('maker', 'POST', '/repositories', { name: 'shared/own' })).status).toBe(201)
    expect((await as('other-maker', 'POST', '/repositories', { name: 'shared/other' })).status).toBe(201)
    expect((await as('maker', 'PATCH', own, { description: 'mine' })).status).toBe(200)
    expect((await as('maker', 'PATCH', other, { description: 'mine' })).status).toBe(403)
    const served = { name: 'shared/own', basePath: 'shared/own', repository: 'shared/own' }
    expect(await as('maker', 'POST', '/distributions', { ...served, access: 'public' })).toMatchObject({
      status: 403,
      body: { missing: { verb: 'distribution.create', role: 'maintainer' } },
    })
    const why = await as(
      'maker',
      'GET',
      `/access/check?action=remove&on=${encodeURIComponent('repository:shared/own')}`,
    )
    expect(why.body).toEqual({ allowed: true, because: { owner: true } })
    expect((await as('maker', 'DELETE', own)).status).toBe(204)
    // One of the same name belongs to who makes it then.
    expect((await as('other-maker', 'POST', '/repositories', { name: 'shared/own' })).status).toBe(201)
    expect((await as('maker', 'PATCH', own, { description: 'mine' })).status).toBe(403)
  })

  test('sees in lists what is its own or granted, a page at a time, and nothing else', async () => {
    await make(stack, '/users', { name: 'lister', password })
    for (let n = 0; n < 5; n++) {
      await make(stack, '/repositories', { name: `listed/yes-${n}` })
      await make(stack, '/repositories', { name: `listed/no-${n}` })
      await make(stack, '/grants', { to: { user: 'lister' }, role: 'puller', on: `repository:listed/yes-${n}` })
    }
    const names: unknown[] = []
    for (let cursor = ''; ; ) {
      const { body } = await as('lister', 'GET', `/repositories?limit=2${cursor && `&cursor=${cursor}`}`)
      const { items, next } = body as { items: { name: string }[]; next: string | null }
      names.push(...items.map(({ name }) => name))
      if (next === null) break
      cursor = next
    }
    expect(names).toEqual([0, 1, 2, 3, 4].map((n) => `listed/yes-${n}`))
  })
})
