import { createTokenCheck } from '@berth/tokens'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import request from 'supertest'
import { basic, login, type People, startPeople } from './testing/people.fixture.ts'

let people: People
beforeAll(async () => {
  people = await startPeople('ann', 'bob')
  await people.grant({ user: 'ann' }, 'owner', 'namespace:team')
}, 60_000)
afterAll(() => people?.stop())

let count = 0
const make = async (more: object = {}, as = 'ann') => {
  const { body } = await people.ask(as, 'post', '/me/tokens', { name: `token ${++count}`, ...more }).expect(201)
  return { ...body, login: { name: as, password: body.secret } }
}
const verify = async (token: string) => createTokenCheck((await people.auth.call('list-keys', {})).keys).verify(token)

test('a personal token opens the API and docker with the name of its person, and nobody else sees it', async () => {
  const token = await make()
  expect(token).toMatchObject({
    scopes: null,
    expiresAt: null,
    lastUsedAt: null,
    secret: expect.stringMatching(/^brp_/),
  })
  expect((await people.ask(token.login, 'get', '/me').expect(200)).body.name).toBe('ann')
  expect(await people.granted(token.login, 'repository:team/app:pull,push,delete')).toBe(
    'repository:team/app:pull,push,delete',
  )
  await people.ask({ ...token.login, name: 'bob' }, 'get', '/me').expect(401)
  const { body } = await people.ask('ann', 'get', '/me/tokens').expect(200)
  expect(body.items.find(({ id }: { id: string }) => id === token.id)).toMatchObject({ lastUsedAt: expect.any(String) })
  expect(JSON.stringify(body)).not.toContain(token.secret)
  expect((await people.ask('bob', 'get', '/me/tokens').expect(200)).body.items).toEqual([])
  await people.ask('bob', 'delete', `/me/tokens/${token.id}`).expect(404)
  const rows = await people.db.query('select row_to_json(personal_token) as row from personal_token')
  expect(JSON.stringify(rows)).not.toContain(token.secret)
})

test('a deleted token, by id or name, and one that has ended are nobody at once', async () => {
  for (const by of ['id', 'name']) {
    const token = await make()
    await people.ask(token.login, 'get', '/me').expect(200)
    const { body } = await request(people.url).get('/token').auth('ann', token.secret).expect(200)
    const byToken = () => request(people.url).get('/api/v1/me').set('authorization', `Bearer ${body.token}`)
    await byToken().expect(200)
    await people.ask('ann', 'delete', `/me/tokens/${encodeURIComponent(token[by])}`).expect(204)
    await byToken().expect(401)
    await people.ask(token.login, 'get', '/me').expect(401)
  }
  const ended = await make({ expiresAt: new Date(Date.now() + 60_000).toISOString() })
  await people.ask(ended.login, 'get', '/me').expect(200)
  await people.db.query('update personal_token set expires_at = now() where id = $1', [ended.id])
  await people.ask(ended.login, 'get', '/me').expect(401)
})

test('what is limited to scopes gets these and nothing else of what its person may, and not the API', async () => {
  const { login: limited } = await make({ scopes: ['repository:team/app:pull,push', 'repository:team/lib/*:pull'] })
  expect(await people.granted(limited, 'repository:team/app:pull,push,delete')).toBe('repository:team/app:pull,push')
  expect(await people.granted(limited, 'repository:team/lib/a:pull,push')).toBe('repository:team/lib/a:pull')
  for (const scope of ['repository:team/other:pull', 'repository:team/lib:pull', 'registry:catalog:*'])
    expect(await people.granted(limited, scope)).toBe('')
  const refused = await people.ask(limited, 'get', '/me').expect(403)
  expect(refused.body).toMatchObject({ code: 'limited_to_scopes', hint: expect.any(String) })
  const { body } = await request(people.url).get('/token').auth(limited.name, limited.password).expect(200)
  expect(await verify(body.token)).toMatchObject({ api: false, admin: false, isLimited: true, access: [] })
  await request(people.url).get('/api/v1/me').set('authorization', `Bearer ${body.token}`).expect(401)
})

test('of an administrator too: what is limited is no administrator, neither by a token nor by Basic', async () => {
  const { login: limited } = await make({ scopes: ['repository:team/app:pull'] }, 'admin')
  const scope = 'repository:team/app:pull,push'
  const { body } = await request(people.url).get('/token').query({ scope }).auth(limited.name, limited.password)
  expect(await verify(body.token)).toMatchObject({
    admin: false,
    isLimited: true,
    access: [{ type: 'repository', name: 'team/app', actions: ['pull'] }],
  })
  const wanted = [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }]
  const asked = { authorization: basic(limited), ip: '192.0.2.1', wanted }
  expect(await people.auth.call('decide-access', asked)).toMatchObject({
    principal: { name: 'admin', admin: false, rights: { accountId: null, grants: [] } },
    access: [{ name: 'team/app', actions: ['pull'] }],
  })
})

test('scopes never give what the person has not', async () => {
  const { login: limited } = await make({ scopes: ['repository:team/app:pull,push'] }, 'bob')
  expect(await people.granted(limited, 'repository:team/app:pull,push')).toBe('')
})

test('a token begets neither another one nor a refresh token, and its access tokens end with it', async () => {
  const { login: mine } = await make({ expiresAt: new Date(Date.now() + 30_000).toISOString() })
  const refused = await people.ask(mine, 'post', '/me/tokens', { name: 'child' }).expect(403)
  expect(refused.body.code).toBe('own_login_required')
  const { body } = await request(people.url).get('/token?offline_token=true').auth(mine.name, mine.password).expect(200)
  expect(body).not.toHaveProperty('refresh_token')
  expect(body.expires_in).toBeLessThanOrEqual(30)
  const form = { grant_type: 'password', username: mine.name, password: mine.password, access_type: 'offline' }
  const posted = await request(people.url).post('/token').type('form').send(form).expect(200)
  expect(posted.body).not.toHaveProperty('refresh_token')
  await request(people.url)
    .post('/api/v1/me/tokens')
    .set('authorization', `Bearer ${body.token}`)
    .send({ name: 'child' })
    .expect(403)
  const refresh = await request(people.url).get('/token?offline_token=true').auth('ann', login('ann').password)
  await people
    .ask({ name: '<token>', password: refresh.body.refresh_token }, 'post', '/me/tokens', { name: 'x' })
    .expect(403)
  const robot = await people.make('/robots', { name: 'ci' })
  await people.ask({ name: 'ci', password: robot.secret }, 'post', '/me/tokens', { name: 'x' }).expect(403)
})

test('an account has a hundred at most that are good, and no two of a name', async () => {
  await people.make('/users', login('many'))
  await make({ name: 'same' }, 'many')
  const taken = await people.ask('many', 'post', '/me/tokens', { name: 'same' }).expect(409)
  expect(taken.body).toMatchObject({ code: 'name_taken', field: 'name' })
  await people.db.query(
    `insert into personal_token (id, account, name, hash)
     select gen_random_uuid(), account, 'n' || n, sha256(n::text::bytea)
     from personal_token, generate_series(1, 98) as n
     where name = 'same'`,
  )
  const both = await Promise.all(['a', 'b'].map((name) => people.ask('many', 'post', '/me/tokens', { name })))
  expect(both.map(({ status }) => status).sort((one, next) => one - next)).toEqual([201, 409])
  expect(both.find(({ status }) => status === 409)?.body.code).toBe('too_many_tokens')
  await people.db.query("update personal_token set expires_at = now() where name = 'n1'")
  await make({}, 'many')
  const { body } = await people.ask('many', 'get', '/me/tokens?limit=60').expect(200)
  const rest = await people.ask('many', 'get', `/me/tokens?limit=60&cursor=${body.next}`).expect(200)
  expect([body.items.length, rest.body.items.length, rest.body.next]).toEqual([60, 41, null])
})

test.each([
  ['no name', {}, 'name'],
  ['a name of 101 characters', { name: 'a'.repeat(101) }, 'name'],
  ['an unknown field', { name: 'a', admin: true }, 'admin'],
  ['an end that is over', { name: 'a', expiresAt: '2020-01-01T00:00:00Z' }, 'expiresAt'],
  ['no scopes in a list of them', { name: 'a', scopes: [] }, 'scopes'],
  ['what is no scope', { name: 'a', scopes: ['repository:team/app:pull', 'x'] }, 'scopes[1]'],
  ['the catalog', { name: 'a', scopes: ['registry:catalog:*'] }, 'scopes[0]'],
  ['another wildcard', { name: 'a', scopes: ['repository:te*m:pull'] }, 'scopes[0]'],
  ['everything', { name: 'a', scopes: ['repository:*:pull'] }, 'scopes[0]'],
  ['an unknown action', { name: 'a', scopes: ['repository:a:pull,fly'] }, 'scopes[0]'],
  ['two in one', { name: 'a', scopes: ['repository:a:pull repository:b:pull'] }, 'scopes[0]'],
])('%s is refused with the field', async (_what, body, field) => {
  const answer = await people.ask('ann', 'post', '/me/tokens', body).expect(400)
  expect(answer.body.field).toBe(field)
})
