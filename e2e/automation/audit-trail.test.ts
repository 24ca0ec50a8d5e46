import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, expect, test } from '@jest/globals'
import { apiAs, grant, makeUser, tokenFor } from '../access/people.ts'
import { query } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make, startSync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'

const stack = withBerth({ own: true, env: { BERTH_AUDIT_COUNT_SECONDS: '1', BERTH_AUDIT_OUTPUT: 'stdout' } })
const upstream = withUpstream()
let owner: Login
let stranger: Login

type Entry = Record<string, unknown> & { action: string; result: string; requestId: string; count: number }
const trail = async (filter = ''): Promise<Entry[]> =>
  (await stack.api('GET', `/audit?limit=1000${filter}`)).body.items as Entry[]
const trailOf = async (login: Login, filter = ''): Promise<Entry[]> =>
  (await apiAs(stack, login, 'GET', `/audit?limit=1000${filter}`)).body.items
const untilThere = (what: string, filter: string, isIt: (entries: Entry[]) => boolean = (found) => found.length > 0) =>
  until(what, async () => {
    const found = await trail(filter)
    return isIt(found) ? found : undefined
  })
const send = (method: string, path: string, headers: Record<string, string>, body?: object) =>
  fetch(`${stack.url}${path}`, {
    method,
    headers: { ...headers, ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })

beforeAll(async () => {
  owner = await makeUser(stack, 'owner')
  stranger = await makeUser(stack, 'stranger')
  await grant(stack, { user: 'owner' }, 'owner', 'namespace:team')
  await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'team/app', '1')
}, 60_000)

test('what changes nothing leaves nothing: dry runs, what is missing, taken or wrong, and what only looks', async () => {
  const before = (await trail('&result=done')).map(({ requestId }) => requestId)
  const sent: [string, string, object?][] = [
    ['POST', '/repositories/team%2Fapp/modify', { dryRun: true, remove: [{ tag: '1' }] }],
    ['POST', '/repositories/team%2Fapp/copy', { dryRun: true, from: { repository: 'team/app' } }],
    ['POST', '/repositories/team%2Fapp/retention', { dryRun: true }],
    ['POST', '/repositories', { name: 'team/app' }],
    ['DELETE', '/repositories/team%2Fapp'],
    ['DELETE', '/repositories/none'],
    ['PUT', '/repositories/team%2Fapp/tags/x', { digest: `sha256:${'0'.repeat(64)}` }],
    ['POST', '/repositories/team%2Fapp/rollback', { version: 99 }],
    ['POST', '/users', { name: 'owner', password: 'another good password' }],
    ['POST', '/sessions', { name: 'owner', password: 'wrong' }],
    ['POST', '/grants', { to: { user: 'owner' }, role: 'owner', on: 'namespace:team' }],
    ['POST', '/tasks/purge', { states: ['completed'], olderThanDays: 99 }],
    ['POST', '/remotes/rotate-keys'],
    ['PATCH', '/schedules/none', { paused: true }],
  ]
  for (const [method, path, body] of sent) await stack.api(method, path, body)
  expect((await trail('&result=done')).map(({ requestId }) => requestId)).toEqual(before)
})

test('owners see what happened in their namespace, others what they did, and nobody else learns of either', async () => {
  await make(stack, '/repositories', { name: 'other/secret' })
  expect((await apiAs(stack, owner, 'PATCH', '/repositories/team%2Fapp', { description: 'x' })).status).toBe(200)
  const token = await apiAs(stack, stranger, 'POST', '/me/tokens', { name: 'own' })
  expect(token.status).toBe(201)
  const seen = await trailOf(owner)
  expect(new Set(seen.map(({ namespace }) => namespace))).toEqual(new Set(['team']))
  expect(seen.map(({ action }) => action)).toEqual(['updateRepository', 'v2.manifest.put', 'createGrant'])
  expect(await trailOf(stranger, '&result=done')).toEqual([
    expect.objectContaining({ action: 'createToken', actor: expect.objectContaining({ name: 'stranger' }) }),
  ])
  expect((await send('GET', '/api/v1/audit', {})).status).toBe(401)
})

test('refused requests are counted, the missing ones as those that may not be seen', async () => {
  for (let n = 0; n < 3; n++) {
    expect((await apiAs(stack, stranger, 'GET', '/repositories/other%2Fsecret')).status).toBe(404)
    expect((await apiAs(stack, stranger, 'GET', '/repositories/other%2Fmissing')).status).toBe(404)
  }
  const [robot, absent] = ['team/ci', 'team/none']
  await make(stack, '/robots', { name: 'ci', namespace: 'team' })
  for (const name of [robot, absent])
    expect((await apiAs(stack, stranger, 'DELETE', `/robots/${encodeURIComponent(name)}`)).status).toBe(404)
  // What is not there for an administrator is nothing that was refused.
  expect((await stack.api('GET', '/repositories/other%2Fmissing')).status).toBe(404)
  expect((await apiAs(stack, stranger, 'POST', '/users', { name: 'x', password: 'y'.repeat(20) })).status).toBe(403)
  const sum = (found: Entry[], name: string) =>
    found
      .filter(({ object }) => (object as { name: string | null }).name === name)
      .reduce((all, { count }) => all + count, 0)
  const counted = await untilThere(
    'what was refused is recorded',
    '&actor=stranger&result=denied',
    (found) =>
      sum(found, 'other/secret') === 3 &&
      sum(found, absent) === 1 &&
      found.some(({ action }) => action === 'createUser'),
  )
  expect(sum(counted, 'other/missing')).toBe(3)
  expect(sum(counted, robot)).toBe(1)
  expect(sum(await trail('&actor=admin&result=denied'), 'other/missing')).toBe(0)
  // Somebody who had not logged in asked for the trail before.
  await untilThere('that is recorded', '&actor=anonymous&action=listAudit')
  expect(counted[0]).toMatchObject({ actor: { name: 'stranger' }, address: '127.0.0.1', result: 'denied' })
  // Its own acts are its to see; they tell no more than the answers did.
  expect(await trailOf(stranger, '&result=denied')).toEqual(counted)
  expect(counted.filter(({ object }) => (object as { id: string | null }).id !== null)).toEqual([])
})

test('a request for a name of a thousand characters that take three bytes each stops the trail for nobody', async () => {
  const name = String.fromCharCode(...Array.from({ length: 1_000 }, () => 0x4e00 + Math.floor(Math.random() * 20_000)))
  await apiAs(stack, stranger, 'DELETE', `/repositories/${encodeURIComponent(name)}`)
  const isIt = (entries: Entry[]) => entries.some(({ object }) => name.startsWith((object as { name: string }).name))
  await untilThere('the refusal', '&actor=stranger&action=deleteRepository', isIt)
  await make(stack, '/repositories', { name: 'team/after' })
  expect(await trail('&object=team/after')).toHaveLength(1)
})

test('of /v2 a push without the right is counted, and not that a client asks where to log in', async () => {
  const path = '/v2/team/app/manifests/1'
  const token = await tokenFor(stack, stranger, 'repository:team/app:pull,push')
  for (const authorization of [`Bearer ${token}`, `Basic ${btoa(`${stranger.user}:${stranger.password}`)}`])
    expect((await send('PUT', path, { authorization })).status).toBeGreaterThan(400)
  expect((await send('GET', path, {})).status).toBe(401)
  const counted = await untilThere(
    'the push is recorded',
    '&action=v2.push',
    (found) => found.reduce((all, { count }) => all + count, 0) === 2,
  )
  expect(counted[0]).toMatchObject({
    actor: { name: 'stranger' },
    object: { kind: 'repository', id: null, name: 'team/app' },
    namespace: 'team',
    result: 'denied',
  })
  expect((await trail('&action=v2.pull')).filter(({ address }) => address === '127.0.0.1')).toEqual([])
})

test('logins that fail are counted by whose name was tried; a name of nobody, which may be a password, is not told', async () => {
  const tries = [owner.user, owner.user, 'correct horse battery staple', 'guess-1']
  for (const name of tries) {
    const { status } = await send('GET', '/api/v1/me', { authorization: `Basic ${btoa(`${name}:wrong`)}` })
    expect(status).toBe(401)
  }
  const counted = await untilThere('the guesses are recorded', '&action=login', (found) => {
    const sum = (name: string) =>
      found.filter(({ actor }) => (actor as { name: string }).name === name).reduce((all, { count }) => all + count, 0)
    // One of them is of a test before.
    return sum(owner.user) === 3 && sum('unknown') === 2
  })
  expect(new Set(counted.map(({ object }) => (object as { name: string | null }).name))).toEqual(
    new Set([owner.user, null]),
  )
  expect(counted[0]).toMatchObject({ actor: { id: null }, result: 'login_failed', address: '127.0.0.1' })
})

test('what a sync commits is told as an act of whoever started it', async () => {
  upstream.add('audit/up', 'latest', imageOf('audit', 500))
  await make(stack, '/remotes', localRemote('team/hub', upstream.url, 'audit/up', { retries: 0 }))
  await make(stack, '/repositories', { name: 'team/mirror' })
  const { id } = await startSync(stack, 'team/mirror', 'team/hub')
  expect(await stack.waitForTask(id)).toMatchObject({ state: 'completed' })
  expect(await trail('&object=team/mirror')).toEqual([
    expect.objectContaining({
      action: 'sync',
      actor: expect.objectContaining({ name: 'admin' }),
      requestId: id,
      address: null,
      detail: null,
    }),
    expect.objectContaining({ action: 'startSync', service: 'tasks' }),
    expect.objectContaining({ action: 'createRepository' }),
  ])
})

test('what a pull brings here from another host is told as an act of whoever pulled', async () => {
  upstream.add('proxied/app', 'v1', imageOf('proxied', 500))
  await make(stack, '/remotes', { ...localRemote('hub', upstream.url, '', { retries: 0 }), upstreamName: null })
  const pullThrough = { remote: 'hub', trigger: 'users', ttlSeconds: 0 }
  await make(stack, '/distributions', { name: 'hub', basePath: 'hub', pullThrough })
  for (let n = 0; n < 2; n++) {
    const { status } = await send('GET', '/v2/hub/proxied/app/manifests/v1', { authorization: basic(stack) })
    expect(status).toBe(200)
  }
  const made = {
    action: 'pull-through',
    actor: expect.objectContaining({ name: 'admin' }),
    detail: 'v1',
    namespace: 'hub',
  }
  expect(await trail('&object=hub/proxied/app')).toEqual([
    expect.objectContaining({
      ...made,
      object: { kind: 'repository', id: expect.any(String), name: 'hub/proxied/app' },
    }),
    expect.objectContaining(made),
  ])
})

test('what a schedule does is an act of the account that it runs as', async () => {
  const what = { cron: '@yearly', kind: 'sync', parameters: { remote: 'team/hub', repository: 'team/mirror' } }
  const made = await apiAs(stack, owner, 'POST', '/schedules', { name: 'team/nightly', ...what })
  expect(made.status).toBe(201)
  await query(stack.databaseUrl ?? '', 'update tasks.schedule set next_at = now()')
  const [run] = await untilThere('the schedule has run', '&action=startSync&actor=owner')
  expect(run).toMatchObject({ actor: { name: 'owner' }, object: { name: 'team/mirror' }, address: null })
})

test('pulls are listed where the namespace asks for it, with who pulled what, and nowhere else', async () => {
  const target = { url: stack.url, authorization: basic(stack) }
  const { digest } = await pushRandomImage(target, 'team/pulled', 'v1')
  await pushRandomImage(target, 'other/pulled', 'v1')
  const pull = async (name: string, method = 'GET') =>
    expect((await send(method, `/v2/${name}/manifests/v1`, { authorization: basic(stack) })).status).toBe(200)
  await pull('team/pulled')
  expect((await stack.api('PATCH', '/namespaces/team', { auditPulls: true })).body).toMatchObject({ auditPulls: true })
  const [first] = await until('a pull is listed', async () => {
    await pull('other/pulled')
    await pull('team/pulled', 'HEAD')
    await pull('team/pulled')
    const found = await trail('&action=v2.manifest.get')
    return found.length > 0 && found
  })
  expect(first).toMatchObject({
    actor: { name: 'admin' },
    object: { kind: 'repository', name: 'team/pulled' },
    detail: `v1 ${digest}`,
    namespace: 'team',
    result: 'done',
    count: 1,
    address: '127.0.0.1',
  })
  const others = (await trail('&action=v2.manifest.get')).filter(({ namespace }) => namespace !== 'team')
  expect(others).toEqual([])
}, 40_000)

test('all of it comes as CSV, in which nothing is a formula, and as lines on standard output', async () => {
  await query(
    stack.databaseUrl ?? '',
    `insert into tasks.audit (at, service, number, request_id, action, actor, object_kind, result, count)
     select (select min(at) from tasks.audit), 'catalog', 1000000 + n, 'many', 'many', '=1+' || n, 'thing', 'done', 1
     from generate_series(1, 2500) as n`,
  )
  const answer = await send('GET', '/api/v1/audit?action=many', { authorization: basic(stack), accept: 'text/csv' })
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/csv; charset=utf-8'])
  const lines = (await answer.text()).split('\r\n')
  expect(lines).toHaveLength(2_502)
  expect(lines[0]).toMatch(/^at,actor,actorId,action,/)
  expect(lines[1]).toContain(`"'=1+2500"`)
  expect(new Set(lines).size).toBe(2_502)
  const written = stack
    .logs()
    .split('\n')
    .filter((line) => line.startsWith('{"type":"audit",'))
  const told = written.map((line) => {
    const { type: _, ...entry } = JSON.parse(line) as Entry & { type: string }
    return entry
  })
  const stored = (await trail()).filter(({ action }) => action !== 'many')
  expect(told).toEqual(expect.arrayContaining(stored))
})

test('after a kill -9 each change that was answered is there, once', async () => {
  const ids = Array.from({ length: 20 }, (_, n) => `killed-${n}`)
  const answers = ids.map((id) =>
    send('POST', '/api/v1/groups', { authorization: basic(stack), 'x-request-id': id }, { name: id }),
  )
  for (const answer of await Promise.all(answers)) expect(answer.status).toBe(201)
  await stack.kill('SIGKILL')
  await stack.restart()
  const found = (await trail('&action=createGroup')).map(({ requestId }) => requestId)
  expect(found.sort()).toEqual(ids.toSorted())
}, 60_000)
