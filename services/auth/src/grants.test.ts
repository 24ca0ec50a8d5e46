import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { login, type People, startPeople } from './testing/people.fixture.ts'

let people: People
let app: string
beforeAll(async () => {
  people = await startPeople('ann', 'bob', 'cleo', 'dora')
  app = await people.told({ kind: 'repository', name: 'team/app' })
  await people.told({ kind: 'distribution', name: 'team/app', repositoryId: app })
  await people.told({ kind: 'remote', name: 'hub' })
  await people.told({ kind: 'repository', name: 'secret/app' })
}, 60_000)
afterAll(() => people?.stop())

const grant = (as: string, role: string, on: string, to: object = { user: 'bob' }) =>
  people.ask(as, 'post', '/grants', { to, role, on })
const idOf = async (name: string) => (await people.ask('admin', 'get', `/users/${name}`)).body.id as string

describe('what a grant is on', () => {
  test.each([
    '*',
    'team/*',
    'team/deep/*',
    'namespace:team',
    'repository:team/app',
    'distribution:team/app',
    'remote:hub',
  ])('%s is kept as it was written', async (on) => {
    const { body, headers } = await grant('admin', 'puller', on, { user: 'cleo' }).expect(201)
    expect(body).toMatchObject({ to: { user: 'cleo' }, role: 'puller', on, createdBy: 'admin' })
    expect(headers.location).toBe(`/api/v1/grants/${body.id}`)
    expect((await people.ask('admin', 'get', `/grants/${body.id}`).expect(200)).body).toEqual(body)
    const listed = await people.ask('admin', 'get', `/grants?to=user:cleo&on=${encodeURIComponent(on)}`).expect(200)
    expect(listed.body.items).toEqual([body])
    expect((await grant('admin', 'puller', on, { user: 'cleo' }).expect(409)).body.code).toBe('granted_already')
    await people.ask('admin', 'delete', `/grants/${body.id}`).expect(204)
    await people.ask('admin', 'get', `/grants/${body.id}`).expect(404)
  })

  test('an object may be named by its id, and its grant follows it under another name', async () => {
    const id = await people.told({ kind: 'remote', name: 'before' })
    const { body } = await grant('admin', 'puller', `remote:${id}`).expect(201)
    expect(body.on).toBe('remote:before')
    await people.told({ kind: 'remote', name: 'after', id })
    expect((await people.ask('admin', 'get', `/grants/${body.id}`)).body.on).toBe('remote:after')
  })

  test.each([
    ['', 'on'],
    ['team', 'position 0'],
    ['te*m/app', 'position 2'],
    ['repository:team/*', 'position 16'],
    ['**', 'position 0'],
    ['/*', 'position 0'],
    ['namespace:team/app', 'position 10'],
    ['task:1', 'position 0'],
    ['cats:team', 'position 0'],
  ])('%j is refused, and the place is named', async (on, said) => {
    const { body } = await grant('admin', 'puller', on).expect(400)
    expect(body).toMatchObject({ field: 'on', detail: expect.stringContaining(said) })
  })

  test.each([
    [{ user: 'nobody' }, 'puller', 'team/*', 'user_not_found'],
    [{ robot: 'bob' }, 'puller', 'team/*', 'robot_not_found'],
    [{ group: 'nobody' }, 'puller', 'team/*', 'group_not_found'],
    [{ user: 'bob' }, 'nothing', 'team/*', 'role_not_found'],
  ])('%j %s on %s is 404', async (to, role, on, code) => {
    expect((await grant('admin', role, on, to).expect(404)).body.code).toBe(code)
  })

  test.each([{}, { user: 'ann', group: 'web' }, { user: 7 }, { account: 'ann' }, 'ann'])(
    'it is given to one: %j',
    async (to) => {
      expect((await grant('admin', 'puller', 'team/*', to as object).expect(400)).body.field).toMatch(/^to/)
    },
  )
})

describe('nobody gives what they do not have', () => {
  beforeAll(async () => {
    await people.grant({ user: 'ann' }, 'owner', 'namespace:team')
    await people.grant({ user: 'dora' }, 'owner', 'team/sub/*')
    await people.told({ kind: 'repository', name: 'team/sub/app' })
  })

  test.each([
    ['ann', 'owner', 'namespace:team'],
    ['ann', 'owner', 'team/*'],
    ['ann', 'maintainer', 'team/sub/*'],
    ['ann', 'pusher', 'repository:team/app'],
    ['ann', 'puller', 'distribution:team/app'],
    ['dora', 'owner', 'team/sub/*'],
    ['dora', 'owner', 'team/sub/deep/*'],
    ['dora', 'pusher', 'repository:team/sub/app'],
  ])('%s may give %s on %s', async (who, role, on) => {
    const { body } = await grant(who, role, on).expect(201)
    await people.ask(who, 'delete', `/grants/${body.id}`).expect(204)
  })

  test.each([
    ['ann', 'puller', '*'],
    ['ann', 'puller', 'teams/*'],
    ['ann', 'puller', 'namespace:teams'],
    ['dora', 'puller', 'team/*'],
    ['dora', 'puller', 'namespace:team'],
    ['dora', 'puller', 'team/su/*'],
    ['bob', 'puller', 'team/*'],
  ])('%s may not give %s on %s, and is told what it takes', async (who, role, on) => {
    const { body } = await grant(who, role, on).expect(403)
    expect(body).toMatchObject({ code: 'not_allowed', missing: { verb: 'grant' } })
  })

  test('an object that one may not see is as if it were missing', async () => {
    const answers = await Promise.all(
      ['secret/app', 'absent/app'].map((name) => grant('ann', 'puller', `repository:${name}`)),
    )
    const [hidden, absent] = answers.map(({ status, body }) => ({ status, body: { ...body, traceId: '' } }))
    expect(JSON.stringify(hidden).replaceAll('secret', 'absent')).toBe(JSON.stringify(absent))
    expect(hidden).toMatchObject({ status: 404, body: { code: 'repository_not_found' } })
  })

  test('who may see an object and not grant on it is told so', async () => {
    await people.grant({ user: 'cleo' }, 'maintainer', 'team/*')
    const { body } = await grant('cleo', 'puller', 'repository:team/app').expect(403)
    expect(body).toMatchObject({ code: 'not_allowed', missing: { verb: 'grant', role: 'owner' } })
  })

  test('a role with one verb more than one has is refused, and the verb named', async () => {
    await people.make('/roles', { name: 'giver', verbs: ['read', 'grant', 'pull'] })
    await people.grant({ user: 'bob' }, 'giver', 'given/*')
    expect((await grant('bob', 'puller', 'given/*').expect(201)).body.role).toBe('puller')
    const { body } = await grant('bob', 'pusher', 'given/*').expect(403)
    expect(body).toMatchObject({ code: 'not_held', detail: expect.stringContaining('"push"'), field: 'role' })
    await grant('bob', 'giver', 'given/*', { user: 'dora' }).expect(201)
    // Verbs may come from several grants, as long as each covers all of it.
    await people.make('/roles', { name: 'pushing', verbs: ['push', 'repository.create'] })
    await people.grant({ user: 'bob' }, 'pushing', 'given/*')
    await grant('bob', 'pusher', 'given/*').expect(201)
  })

  test('the owner of an object gives on it what an owner has, and that is not to publish it', async () => {
    const ownerId = await idOf('cleo')
    await people.told({ kind: 'repository', name: 'cleos/app', ownerId })
    await grant('cleo', 'maintainer', 'repository:cleos/app').expect(201)
    const { body } = await grant('cleo', 'owner', 'repository:cleos/app').expect(403)
    expect(body).toMatchObject({ code: 'not_held', detail: expect.stringContaining('"publish"') })
    await grant('cleo', 'puller', 'cleos/*').expect(403)
  })

  test('admin is given on everything only, by administrators', async () => {
    for (const on of ['team/*', 'namespace:team', 'repository:team/app'])
      expect((await grant('admin', 'admin', on).expect(400)).body.field).toBe('on')
    await grant('ann', 'admin', '*').expect(403)
    const id = await people.grant({ user: 'dora' }, 'admin', '*')
    await people.ask('dora', 'get', '/users').expect(200)
    await people.ask('dora', 'get', '/me').expect(200, { name: 'dora', admin: true })
    expect(await people.granted('dora', 'repository:any/thing:*')).toBe('repository:any/thing:*')
    await people.ask('admin', 'delete', `/grants/${id}`).expect(204)
    await people.ask('dora', 'get', '/users').expect(403)
  })

  test('a change of the role is as a new grant, and taking away needs grant', async () => {
    const { body } = await grant('ann', 'puller', 'team/*').expect(201)
    const change = (who: string, role: string) => people.ask(who, 'patch', `/grants/${body.id}`, { role })
    expect((await change('ann', 'pusher').expect(200)).body).toMatchObject({ role: 'pusher', on: 'team/*' })
    await change('bob', 'puller').expect(404)
    await change('cleo', 'puller').expect(404)
    await people.ask('bob', 'delete', `/grants/${body.id}`).expect(404)
    await change('ann', 'admin').expect(400)
    await change('ann', 'nothing').expect(404)
    await people.ask('ann', 'delete', `/grants/${body.id}`).expect(204)
  })
})

test('grants are listed for whoever may grant there, and for no one else', async () => {
  const onOf = async (who: string, query = '') => {
    const { body } = await people.ask(who, 'get', `/grants?limit=1000${query}`).expect(200)
    return body.items.map(({ on }: { on: string }) => on) as string[]
  }
  await grant('admin', 'puller', 'repository:team/app').expect(201)
  await grant('admin', 'puller', 'repository:secret/app').expect(201)
  const all = await onOf('admin')
  const ofAnn = all.filter((on) => /[:^]?team(\/|$)/.test(on))
  expect(ofAnn).toContain('repository:team/app')
  expect(await onOf('ann')).toEqual(ofAnn)
  expect((await onOf('dora')).filter((on) => !on.startsWith('given/'))).toEqual(['team/sub/*'])
  await people.make('/users', login('new'))
  expect(await onOf('new')).toEqual([])
  const pages: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: string = `/grants?limit=2${cursor ? `&cursor=${cursor}` : ''}`
    const { body } = await people.ask('admin', 'get', page).expect(200)
    pages.push(...body.items.map(({ on }: { on: string }) => on))
    cursor = body.next
  }
  expect(pages).toEqual(all)
  expect(await onOf('admin', '&to=user:nobody')).toEqual([])
  for (const query of ['to=ann', 'to=cat:ann', 'on=te*m', 'cursor=x'])
    await people.ask('admin', 'get', `/grants?${query}`).expect(400)
})

test('a holder has at most a thousand grants', async () => {
  await people.db.query(
    `insert into access_grant (id, holder_id, role, prefix, created_by)
     select gen_random_uuid(), $1, 'puller', 'many/' || n || '/', 'admin'
     from generate_series(1, 999) as n`,
    [await idOf('new')],
  )
  const answers = await Promise.all(['x/*', 'y/*'].map((on) => grant('admin', 'puller', on, { user: 'new' })))
  expect(answers.map(({ status }) => status).sort((one, next) => one - next)).toEqual([201, 409])
  expect(answers.find(({ status }) => status === 409)?.body.code).toBe('too_many_grants')
})

test('nobody is filled up with grants in one namespace', async () => {
  const to = { user: 'filled' }
  await people.make('/users', { name: to.user, password: 'the password of somebody' })
  await people.db.query(
    `insert into access_grant (id, holder_id, role, prefix, created_by)
     select gen_random_uuid(), $1, 'puller', 'filling/' || n || '/', 'admin'
     from generate_series(1, 248) as n`,
    [await idOf(to.user)],
  )
  for (const on of ['namespace:filling', 'filling/*', 'filling-up/*', '*'])
    await grant('admin', 'puller', on, to).expect(201)
  for (const on of ['filling/x/*', 'filling/y/z/*'])
    expect((await grant('admin', 'puller', on, to).expect(409)).body.code).toBe('too_many_grants')
})

test('each change is announced with whom it is for, the role and what it is on', async () => {
  const { body } = await grant('ann', 'puller', 'team/told/*').expect(201)
  await people.ask('ann', 'patch', `/grants/${body.id}`, { role: 'pusher' }).expect(200)
  await people.ask('ann', 'delete', `/grants/${body.id}`).expect(204)
  const told = await people.db.query<{ type: string; actor: string; actorid: string; data: object }>(
    `select event ->> 'type' as type, event ->> 'actor' as actor, event ->> 'actorid' as actorid, event -> 'data' as data
     from outbox
     where event -> 'data' ->> 'id' = $1
     order by seq`,
    [body.id],
  )
  const to = { kind: 'user', id: await idOf('bob'), name: 'bob' }
  const data = { id: body.id, to, on: 'team/told/*' }
  const by = { actor: 'ann', actorid: await idOf('ann') }
  expect(told).toEqual([
    { type: 'dev.berth.auth.grant.created.v1', ...by, data: { ...data, role: 'puller' } },
    { type: 'dev.berth.auth.grant.updated.v1', ...by, data: { ...data, role: 'pusher' } },
    { type: 'dev.berth.auth.grant.deleted.v1', ...by, data: { ...data, role: 'pusher' } },
  ])
})
