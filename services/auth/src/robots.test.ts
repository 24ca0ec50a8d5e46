import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { tellExpiring } from './robots/tell-expiring.ts'
import { basic, type People, startPeople } from './testing/people.fixture.ts'

let people: People
beforeAll(async () => {
  people = await startPeople('ann', 'bob')
  await people.grant({ user: 'ann' }, 'owner', 'namespace:team')
}, 60_000)
afterAll(() => people?.stop())

type Made = { id: string; name: string; secret: string; expiresAt: string | null }
const pathOf = (name: string) => `/robots/${encodeURIComponent(name)}`
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()
const robot = (name: string, more: object = {}): Promise<Made> => people.make('/robots', { name, ...more })
const loginOf = ({ name, secret }: { name: string; secret: string }) => ({ name, password: secret })
const identify = async (made: { name: string; secret: string }) =>
  (await people.auth.call('identify', { authorization: basic(loginOf(made)), ip: '192.0.2.1' })).principal
const past = (days: number, name: string) =>
  people.db.query(
    `update robot set secret_made_at = secret_made_at - make_interval(days => $1), expires_at = expires_at - make_interval(days => $1)
     where name = $2`,
    [days, name],
  )

test('a secret of 256 bits is shown once, and only its hash is stored', async () => {
  const made = await robot('once', { namespace: 'team', description: 'pushes what main builds' })
  expect(made).toMatchObject({ name: 'team/once', namespace: 'team', expiresAt: null, lastUsedAt: null })
  expect(made.secret).toMatch(/^brb_[A-Za-z0-9_-]{43}$/)
  for (const path of [pathOf('team/once'), `/robots/${made.id}`]) {
    const { body } = await people.ask('admin', 'get', path).expect(200)
    expect(body).toMatchObject({ description: 'pushes what main builds', createdBy: 'admin' })
    expect(JSON.stringify(body)).not.toContain('brb_')
  }
  const stored = JSON.stringify(await people.db.query('select * from robot, outbox'))
  expect(stored).not.toContain(made.secret)
  expect(stored).not.toContain('brb_')
})

test('a robot logs in with its name and secret at every door, and gets no refresh token', async () => {
  const made = await robot('doors', { namespace: 'team' })
  await people.grant({ robot: 'team/doors' }, 'pusher', 'team/*')
  expect(await identify(made)).toMatchObject({
    name: 'team/doors',
    admin: false,
    robot: true,
    rights: { accountId: null },
  })
  await people.ask(loginOf(made), 'get', '/me').expect(200, { name: 'team/doors', admin: false })
  const { body } = await people.ask(loginOf(made), 'get', '/me/permissions').expect(200)
  expect(body.grants).toMatchObject([{ through: null, role: 'pusher', on: 'team/*' }])
  const scope = 'repository:team/app:pull,push'
  expect(await people.granted(loginOf(made), scope, 'repository:other/app:pull')).toBe(scope)
  const authorization = basic(loginOf(made))
  const got = await fetch(`${people.url}/token?offline_token=true`, { headers: { authorization } })
  const token = (await got.json()) as { token: string; refresh_token?: string }
  expect(token.refresh_token).toBeUndefined()
  const api = await fetch(`${people.url}/api/v1/me`, { headers: { authorization: `Bearer ${token.token}` } })
  expect(api.status).toBe(200)
  const form = new URLSearchParams({ grant_type: 'password', username: made.name, password: made.secret, scope })
  form.set('access_type', 'offline')
  const posted = await fetch(`${people.url}/token`, { method: 'POST', body: form })
  expect(await posted.json()).toEqual(expect.not.objectContaining({ refresh_token: expect.anything() }))
})

test('a wrong secret, the name of another robot and that of a user are 401', async () => {
  const one = await robot('one')
  const other = await robot('other')
  expect(await identify({ name: one.name, secret: other.secret })).toBeNull()
  expect(
    await identify({ name: one.name, secret: `${one.secret.slice(0, -1)}${one.secret.endsWith('A') ? 'B' : 'A'}` }),
  ).toBeNull()
  expect(await identify({ name: 'ann', secret: one.secret })).toBeNull()
  expect(await identify({ name: one.id, secret: one.secret })).toBeNull()
  expect(await identify(one)).toMatchObject({ name: 'one' })
})

test('the right secret passes however many wrong ones were tried, and wrong ones are stopped', async () => {
  const made = await robot('guessed')
  const wrong = { ...made, secret: `brb_${'A'.repeat(43)}` }
  for (let n = 0; n < 10; n++) expect(await identify(wrong)).toBeNull()
  await expect(identify(wrong)).rejects.toMatchObject({ status: 429 })
  expect(await identify(made)).toMatchObject({ name: 'guessed' })
  await people.db.query('delete from login_attempt')
})

test('a robot that has ended is nobody: not by Basic, not by a token for the API', async () => {
  const made = await robot('ended', { expiresAt: inDays(1) })
  const authorization = basic(loginOf(made))
  const { token } = (await (await fetch(`${people.url}/token`, { headers: { authorization } })).json()) as {
    token: string
  }
  const withToken = () => fetch(`${people.url}/api/v1/me`, { headers: { authorization: `Bearer ${token}` } })
  expect((await withToken()).status).toBe(200)
  await past(2, 'ended')
  expect(await identify(made)).toBeNull()
  expect((await withToken()).status).toBe(401)
  expect(await people.auth.call('grants-of', { accountId: made.id, epoch: 0 })).toMatchObject({ isActive: false })
})

test('after a rotation both secrets are good until the overlap is over', async () => {
  const before = await robot('turned', { namespace: 'team' })
  const { body: after } = await people.ask('admin', 'post', `${pathOf('team/turned')}/rotate`, { overlapSeconds: 600 })
  expect(after.secret).toMatch(/^brb_/)
  expect(after.secret).not.toBe(before.secret)
  const until = Date.parse(after.previousSecretUntil) - Date.now()
  expect(until).toBeGreaterThan(500_000)
  expect(until).toBeLessThan(700_000)
  for (const made of [before, after]) expect(await identify(made)).toMatchObject({ name: 'team/turned' })
  await people.db.query("update robot set previous_until = now() where name = 'team/turned'")
  expect([await identify(before), (await identify(after))?.name]).toEqual([null, 'team/turned'])
})

test('of two rotations within the overlap the second ends the first secret', async () => {
  const first = await robot('twice')
  const { body: second } = await people.ask('admin', 'post', '/robots/twice/rotate')
  const { body: third } = await people.ask('admin', 'post', '/robots/twice/rotate')
  expect(await Promise.all([first, second, third].map(async (made) => (await identify(made))?.name ?? null))).toEqual([
    null,
    'twice',
    'twice',
  ])
})

test('without an overlap the secret before, and the tokens that it got, are over at once', async () => {
  const before = await robot('stolen')
  const authorization = basic(loginOf(before))
  const { token } = (await (await fetch(`${people.url}/token`, { headers: { authorization } })).json()) as {
    token: string
  }
  await people.ask('admin', 'post', '/robots/stolen/rotate', { overlapSeconds: 0 }).expect(200)
  expect(await identify(before)).toBeNull()
  const answer = await fetch(`${people.url}/api/v1/me`, { headers: { authorization: `Bearer ${token}` } })
  expect(answer.status).toBe(401)
})

test('a rotation gives the life that the robot had anew, or the end that is named', async () => {
  await robot('lives', { expiresAt: inDays(30) })
  await past(20, 'lives')
  const rotated = async (body: object) =>
    (await people.ask('admin', 'post', '/robots/lives/rotate', body).expect(200)).body
  const near = (text: string, days: number) =>
    expect(Math.abs(Date.parse(text) - Date.parse(inDays(days)))).toBeLessThan(60_000)
  near((await rotated({})).expiresAt, 30)
  const end = inDays(5)
  expect((await rotated({ expiresAt: end })).expiresAt).toBe(end)
  near((await rotated({})).expiresAt, 5)
  expect((await rotated({ expiresAt: null })).expiresAt).toBeNull()
  expect((await rotated({})).expiresAt).toBeNull()
})

test('the rotation of a robot that has ended gives life to the new secret only', async () => {
  const before = await robot('revived', { expiresAt: inDays(1) })
  await past(2, 'revived')
  const { body: after } = await people.ask('admin', 'post', '/robots/revived/rotate', { overlapSeconds: 604_800 })
  expect(after.previousSecretUntil).toBeNull()
  expect([await identify(before), (await identify(after))?.name]).toEqual([null, 'revived'])
})

test('no overlap is longer than the life that the secret before had', async () => {
  const end = inDays(1)
  await robot('short', { expiresAt: end })
  const { body } = await people.ask('admin', 'post', '/robots/short/rotate', { overlapSeconds: 604_800 }).expect(200)
  expect(body.previousSecretUntil).toBe(end)
})

test('the last use is written, and not more than once a minute', async () => {
  const made = await robot('used')
  const lastUse = async () => (await people.ask('admin', 'get', '/robots/used')).body.lastUsedAt as string | null
  expect(await lastUse()).toBeNull()
  await Promise.all(Array.from({ length: 8 }, () => identify(made)))
  const first = await lastUse()
  expect(Math.abs(Date.parse(first ?? '') - Date.now())).toBeLessThan(60_000)
  await identify(made)
  expect(await lastUse()).toBe(first)
  await people.db.query("update robot set last_used_at = now() - interval '61 seconds' where name = 'used'")
  await identify(made)
  expect(Date.parse((await lastUse()) ?? '')).toBeGreaterThanOrEqual(Date.parse(first ?? ''))
})

test('owners of a namespace make, see, change, rotate and delete its robots, and learn of no others', async () => {
  await robot('hidden', { namespace: 'other' })
  const { body: made } = await people.ask('ann', 'post', '/robots', { name: 'mine', namespace: 'team' }).expect(201)
  expect(await identify(made)).toMatchObject({ name: 'team/mine' })
  await people.ask('ann', 'patch', pathOf('team/mine'), { description: 'of ann' }).expect(200)
  await people.ask('ann', 'post', `${pathOf('team/mine')}/rotate`).expect(200)
  const listed = (await people.ask('ann', 'get', '/robots').expect(200)).body.items as Made[]
  expect(listed.every(({ name }) => name.startsWith('team/'))).toBe(true)
  expect(listed.map(({ name }) => name)).toContain('team/mine')
  const refusals = [
    ['get', undefined, ''],
    ['patch', { description: '' }, ''],
    ['delete', undefined, ''],
    ['post', {}, '/rotate'],
  ] as const
  for (const [method, body, more] of refusals) {
    const answers = await Promise.all(
      ['other/hidden', 'other/absent'].map((name) => people.ask('ann', method, `${pathOf(name)}${more}`, body)),
    )
    const [hidden, absent] = answers.map(({ status, body: said }) => ({ status, body: { ...said, traceId: '' } }))
    expect(JSON.stringify(hidden).replaceAll('hidden', 'absent')).toBe(JSON.stringify(absent))
    expect(hidden?.status).toBe(404)
  }
  await people.ask('ann', 'delete', pathOf('team/mine')).expect(204)
})

test('nobody makes robots where it does not own: the right and a role that has it are named', async () => {
  const refused = async (who: string, body: object) => (await people.ask(who, 'post', '/robots', body).expect(403)).body
  const lacks = { missing: { verb: 'robot.manage', role: 'owner' } }
  expect(await refused('ann', { name: 'x', namespace: 'other' })).toMatchObject(lacks)
  expect(await refused('bob', { name: 'x', namespace: 'team' })).toMatchObject(lacks)
  const alone = { missing: { verb: 'administer', role: 'admin' } }
  expect(await refused('ann', { name: 'x' })).toMatchObject(alone)
  expect(await refused('ann', { name: 'x', namespace: null })).toMatchObject(alone)
})

test('a thousand robots are the most of a namespace, however many are made at once', async () => {
  await people.db.query(
    `with made as (
       insert into holder (id, kind, name)
       select gen_random_uuid(), 'robot', 'full/r' || n
       from generate_series(1, 998) as n
       returning id, name)
     insert into robot (id, name, namespace, secret_hash, created_by)
     select id, name, 'full', '', 'admin'
     from made`,
  )
  const answers = await Promise.all(
    ['a', 'b', 'c', 'd'].map((name) => people.ask('admin', 'post', '/robots', { name, namespace: 'full' })),
  )
  expect(answers.map(({ status }) => status).sort((one, next) => one - next)).toEqual([201, 201, 409, 409])
  expect(answers.find(({ status }) => status === 409)?.body.code).toBe('too_many_robots')
})

test.each([
  [{ name: 'x', expiresAt: '2020-01-01T00:00:00Z' }, 'expiresAt'],
  [{ name: 'x', expiresAt: 'tomorrow' }, 'expiresAt'],
  [{ name: 'x', expiresAt: '2016-12-31T23:59:60Z' }, 'expiresAt'],
  [{ name: 'x', namespace: 'Team' }, 'namespace'],
  [{ name: 'x', namespace: 'a/b' }, 'namespace'],
  [{ name: 'team/x' }, 'name'],
  [{ name: 'x', description: 'x'.repeat(1_001) }, 'description'],
])('%j is refused and the field named', async (body, field) => {
  expect((await people.ask('admin', 'post', '/robots', body).expect(400)).body.field).toBe(field)
})

test.each([{ overlapSeconds: -1 }, { overlapSeconds: 604_801 }, { overlapSeconds: 0.5 }, { overlapSeconds: 'long' }])(
  'a rotation with %j is refused',
  async (body) => {
    const made = await robot(`bad-${Math.abs(Number(body.overlapSeconds)) || 'text'}`.replace('.', '-'))
    expect((await people.ask('admin', 'post', `/robots/${made.id}/rotate`, body).expect(400)).body.field).toBe(
      'overlapSeconds',
    )
    expect(await identify(made)).not.toBeNull()
  },
)

test('that a robot ends is announced 14 days before and a day before, each once', async () => {
  const { id } = await robot('fading', { expiresAt: inDays(13) })
  await robot('lasting', { expiresAt: inDays(15) })
  const told = async () => {
    await tellExpiring(people.db)
    await tellExpiring(people.db)
    const rows = await people.db.query<{ data: { id: string; days: number } }>(
      "select event -> 'data' as data from outbox where event ->> 'type' = 'dev.berth.auth.robot.expiring.v1' order by seq",
    )
    return rows.filter(({ data }) => data.id === id).map(({ data }) => data.days)
  }
  expect(await told()).toEqual([14])
  await people.db.query("update robot set expires_at = now() + interval '20 hours' where name = 'fading'")
  expect(await told()).toEqual([14, 1])
  await people.ask('admin', 'post', '/robots/fading/rotate', { expiresAt: inDays(10) }).expect(200)
  expect(await told()).toEqual([14, 1, 14])
})

test('a robot has no password to change', async () => {
  const made = await robot('wordless')
  const change = { currentPassword: made.secret, password: 'a password of its own' }
  expect((await people.ask(loginOf(made), 'patch', '/me', change).expect(403)).body.code).toBe('no_password')
})

test('what is granted to a robot ends with it, and one of its name inherits nothing', async () => {
  const scope = 'repository:gone/app:pull'
  const before = await robot('gone')
  await people.grant({ robot: 'gone' }, 'puller', 'gone/*')
  expect(await people.granted(loginOf(before), scope)).toBe(scope)
  await people.ask('admin', 'delete', '/robots/gone').expect(204)
  expect(await identify(before)).toBeNull()
  const after = await robot('gone')
  expect(await people.granted(loginOf(after), scope)).toBe('')
})
