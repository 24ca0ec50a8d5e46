import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { basic, login, type People, startPeople } from './testing/people.fixture.ts'

let people: People
beforeAll(async () => {
  people = await startPeople('ann', 'bob')
}, 60_000)
afterAll(() => people?.stop())

const change = (name: string, body: object, as = 'admin') => people.ask(as, 'patch', `/users/${name}`, body)

test('a user that may not log in any more is nobody at once: password, API token and refresh token', async () => {
  const authorization = basic(login('ann'))
  const answer = await fetch(`${people.url}/token?offline_token=true`, { headers: { authorization } })
  const { token, refresh_token: refresh } = (await answer.json()) as { token: string; refresh_token: string }
  expect((await change('ann', { active: false }).expect(200)).body).toMatchObject({ name: 'ann', active: false })
  await people.ask('ann', 'get', '/me').expect(401)
  const status = async (header: string) =>
    (await fetch(`${people.url}/api/v1/me`, { headers: { authorization: header } })).status
  expect(await status(`Bearer ${token}`)).toBe(401)
  const renew = () =>
    fetch(`${people.url}/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refresh }),
    })
  expect((await renew()).status).toBe(401)
  const { id } = (await people.ask('admin', 'get', '/users/ann')).body
  expect(await people.auth.call('grants-of', { accountId: id, epoch: 1 })).toEqual({
    rights: { accountId: null, grants: [] },
    isActive: false,
  })
  // What was issued before does not come back with the user.
  await change('ann', { active: true }).expect(200)
  await people.ask('ann', 'get', '/me').expect(200)
  expect([await status(`Bearer ${token}`), (await renew()).status]).toEqual([401, 401])
})

test('who becomes an administrator is one with the next request, and who is none any more is none', async () => {
  await people.ask('bob', 'get', '/users').expect(403)
  await change('bob', { admin: true }).expect(200)
  await people.ask('bob', 'get', '/users').expect(200)
  expect(await people.granted('bob', 'repository:any/thing:*')).toBe('repository:any/thing:*')
  await change('bob', { admin: false }).expect(200)
  await people.ask('bob', 'get', '/users').expect(403)
  expect(await people.granted('bob', 'repository:any/thing:*')).toBe('')
})

test('the last administrator who may log in is neither deleted, demoted nor shut out', async () => {
  await change('bob', { admin: true }).expect(200)
  await change('bob', { active: false }).expect(200)
  for (const body of [{ admin: false }, { active: false }]) {
    const refused = await change('admin', body).expect(409)
    expect(refused.body).toMatchObject({ code: 'last_admin', hint: expect.any(String) })
  }
  await people.ask('admin', 'delete', '/users/admin').expect(409)
  await change('bob', { active: true }).expect(200)
  // Each by itself: by the other it might be refused as one who is no administrator any more.
  const gone = await Promise.all([change('admin', { admin: false }), change('bob', { active: false }, 'bob')])
  expect(gone.map(({ status }) => status).sort((one, next) => one - next)).toEqual([200, 409])
  const admins = await people.db.query<{ name: string }>('select name from account where is_admin and is_active')
  expect(admins).toHaveLength(1)
  const other = admins[0]?.name === 'bob' ? 'admin' : 'bob'
  await change(other, { admin: other === 'admin', active: true }, admins[0]?.name).expect(200)
  if (other === 'admin') await change('bob', { admin: false }).expect(200)
})

test.each(['', 'short', 'aaaaaaaaaaaa', 'password1234', 'dora-dora-dora', '123456789012'])(
  'the password %j is refused, for a new user and as a change',
  async (password) => {
    const { body } = await people.ask('admin', 'post', '/users', { name: 'dora', password }).expect(400)
    expect(body).toMatchObject({ field: 'password', detail: expect.stringContaining('password: ') })
    await people.ask('admin', 'get', '/users/dora').expect(404)
    if (password !== 'dora-dora-dora') {
      expect((await change('ann', { password }).expect(400)).body.field).toBe('password')
      const mine = { password, currentPassword: login('ann').password }
      expect((await people.ask('ann', 'patch', '/me', mine).expect(400)).body.field).toBe('password')
    }
    await people.ask('ann', 'get', '/me').expect(200)
  },
)

test('what is granted to a user ends with it, and a user of its name inherits nothing', async () => {
  const scope = 'repository:left/app:pull'
  await people.make('/users', login('eve'))
  await people.make('/groups', { name: 'left', members: ['eve'] })
  await people.grant({ user: 'eve' }, 'puller', 'left/*')
  await people.grant({ group: 'left' }, 'puller', 'left/*')
  expect(await people.granted('eve', scope)).toBe(scope)
  await people.ask('admin', 'delete', '/users/eve').expect(204)
  await people.make('/users', login('eve'))
  expect(await people.granted('eve', scope)).toBe('')
  const told = await people.db.query<{ to: string }>(
    `select event -> 'data' -> 'to' ->> 'name' as to
     from outbox
     where event ->> 'type' = 'dev.berth.auth.grant.deleted.v1'`,
  )
  expect(told).toEqual([{ to: 'eve' }])
})

test('a field that is none is refused', async () => {
  for (const field of ['isAdmin', 'name', 'passwordHash'])
    expect((await change('ann', { [field]: true }).expect(400)).body.field).toBe(field)
})
