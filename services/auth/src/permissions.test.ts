import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type People, startPeople } from './testing/people.fixture.ts'

let people: People
const ids: Record<string, string> = {}
beforeAll(async () => {
  people = await startPeople('ann', 'bob', 'cleo')
  await people.make('/groups', { name: 'web', members: ['ann'] })
  await people.make('/robots', { name: 'ci', namespace: 'team' })
  await people.told({ kind: 'repository', name: 'team/app' })
  await people.told({ kind: 'repository', name: 'secret/app' })
  ids.group = await people.grant({ group: 'web' }, 'pusher', 'team/*')
  ids.owner = await people.grant({ user: 'cleo' }, 'owner', 'namespace:team')
  ids.robot = await people.grant({ robot: 'team/ci' }, 'puller', 'repository:team/app')
  const ownerId = (await people.ask('admin', 'get', '/users/bob')).body.id
  await people.told({ kind: 'remote', name: 'bobs', ownerId })
}, 60_000)
afterAll(() => people?.stop())

const check = (as: string, query: Record<string, string>) =>
  people.ask(as, 'get', `/access/check?${new URLSearchParams(query)}`)

describe('what may be done, and by which grant', () => {
  const missing = (verb: string, role: string) => ({ allowed: false, because: null, missing: { verb, role } })
  test.each<[string, string, string, () => object]>([
    ['ann', 'push', 'repository:team/app', () => ({ allowed: true, because: { grant: ids.group } })],
    ['ann', 'push', 'repository:team/absent', () => ({ allowed: true, because: { grant: ids.group } })],
    ['ann', 'delete', 'repository:team/app', () => missing('delete', 'maintainer')],
    ['ann', 'publish', 'repository:team/app', () => missing('publish', 'owner')],
    ['ann', 'administer', 'settings:any', () => missing('administer', 'admin')],
    ['ann', 'namespace.update', 'namespace:team', () => missing('namespace.update', 'owner')],
    ['cleo', 'namespace.update', 'namespace:team', () => ({ allowed: true, because: { grant: ids.owner } })],
    ['bob', 'remote.update', 'remote:bobs', () => ({ allowed: true, because: { owner: true } })],
    ['ann', 'remote.update', 'remote:bobs', () => missing('remote.update', 'owner')],
    ['admin', 'administer', 'settings:any', () => ({ allowed: true, because: { grant: 'admin' } })],
  ])('%s, %s on %s', async (who, action, on, expected) => {
    expect((await check(who, { action, on }).expect(200)).body).toEqual(expected())
  })

  test('what is missing and what is hidden are answered alike', async () => {
    const answers = await Promise.all(
      ['secret/app', 'absent/app'].map((name) => check('ann', { action: 'read', on: `repository:${name}` })),
    )
    expect(answers.map(({ body }) => body)).toEqual([missing('read', 'puller'), missing('read', 'puller')])
  })
})

test('others are asked about by those who see accounts, or who grant there', async () => {
  const of = (as: string, who: string, on = 'repository:team/app') => check(as, { who, action: 'pull', on })
  const byGrant = { allowed: true, because: { grant: ids.robot } }
  expect((await of('admin', 'robot:team/ci').expect(200)).body).toEqual(byGrant)
  expect((await of('cleo', 'robot:team/ci').expect(200)).body).toEqual(byGrant)
  expect((await of('ann', 'user:ann').expect(200)).body.allowed).toBe(true)
  const refused = await of('ann', 'robot:team/ci').expect(403)
  expect(refused.body).toMatchObject({ code: 'not_allowed', missing: { verb: 'grant', role: 'owner' } })
  await of('cleo', 'user:ann', 'repository:secret/app').expect(403)
  await of('cleo', 'user:ann', 'repository:absent/app').expect(403)
  expect((await of('admin', 'user:nobody').expect(404)).body.code).toBe('user_not_found')
  await of('admin', 'user:team/ci').expect(404)
})

test('who may not log in may do nothing', async () => {
  const ask = () => check('admin', { who: 'user:ann', action: 'push', on: 'repository:team/app' })
  await people.ask('admin', 'patch', '/users/ann', { active: false }).expect(200)
  expect((await ask()).body).toMatchObject({ allowed: false, because: null })
  await people.ask('admin', 'patch', '/users/ann', { active: true }).expect(200)
  expect((await ask()).body.allowed).toBe(true)
})

test.each<[Record<string, string>, string]>([
  [{ action: 'pul', on: 'repository:team/app' }, 'action'],
  [{ on: 'repository:team/app' }, 'action'],
  [{ action: 'pull' }, 'on'],
  [{ action: 'pull', on: 'team/*' }, 'on'],
  [{ action: 'pull', on: 'repository:' }, 'on'],
  [{ action: 'pull', on: 'cat:tom' }, 'on'],
  [{ action: 'pull', on: 'repository:team/app', who: 'ann' }, 'who'],
  [{ action: 'pull', on: 'repository:team/app', who: 'group:web' }, 'who'],
  [{ action: 'pull', on: 'repository:team/app', as: 'ann' }, 'as'],
])('%j is refused and the field named', async (query, field) => {
  expect((await check('admin', query).expect(400)).body.field).toBe(field)
})

test('a parameter that comes twice is refused', async () => {
  await people.ask('admin', 'get', '/access/check?action=pull&action=push&on=repository:team/app').expect(400)
})

test('everybody sees what it was granted, and by which of its groups', async () => {
  const own = await people.grant({ user: 'ann' }, 'puller', 'repository:secret/app')
  const all = await people.grant({ group: 'authenticated' }, 'puller', 'shared/*')
  const { body } = await people.ask('ann', 'get', '/me/permissions').expect(200)
  const verbs = expect.arrayContaining(['read', 'pull'])
  expect(body).toEqual({
    name: 'ann',
    admin: false,
    grants: [
      { id: ids.group, through: 'web', role: 'pusher', verbs, on: 'team/*' },
      { id: own, through: null, role: 'puller', verbs, on: 'repository:secret/app' },
      { id: all, through: 'authenticated', role: 'puller', verbs, on: 'shared/*' },
    ],
  })
  expect((await people.ask('admin', 'get', '/me/permissions').expect(200)).body.admin).toBe(true)
})
