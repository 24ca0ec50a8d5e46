import { afterAll, beforeAll, expect, test } from '@jest/globals'
import request from 'supertest'
import { login, type People, startPeople } from './testing/people.fixture.ts'

let people: People
beforeAll(async () => {
  people = await startPeople('ann', 'bob', 'cleo')
  // As each of them has chosen the password.
  await people.db.query('update account set must_change_password = false')
}, 60_000)
afterAll(() => people?.stop())

type Opened = { cookie: string; csrf: string; id: string; attributes: string }

async function open(name: string, headers: Record<string, string> = {}): Promise<Opened> {
  const answer = await request(people.url).post('/api/v1/sessions').set(headers).send(login(name)).expect(201)
  const [set = ''] = answer.headers['set-cookie'] as unknown as string[]
  const [cookie = '', ...attributes] = set.split('; ')
  return { cookie, csrf: answer.body.csrfToken, id: answer.body.id, attributes: attributes.join('; ') }
}

function as({ cookie, csrf }: Opened, method: 'get' | 'post' | 'patch' | 'delete', path: string, body?: object) {
  return request(people.url)[method](`/api/v1${path}`).set('cookie', cookie).set('x-berth-csrf', csrf).send(body)
}

test('a person logs in by a cookie, changes something with the token of the session, and logs out', async () => {
  const session = await open('ann')
  expect(session.attributes).toBe('Path=/api/v1; HttpOnly; SameSite=Strict')
  expect((await open('ann', { 'x-forwarded-proto': 'https' })).attributes).toMatch(/; Secure$/)
  await as(session, 'get', '/me').expect(200, { name: 'ann', admin: false })
  const { body } = await as(session, 'get', '/sessions/current').expect(200)
  expect(body).toMatchObject({ name: 'ann', csrfToken: session.csrf, id: session.id })
  await as(session, 'post', '/me/tokens', { name: 'by session' }).expect(201)
  const answer = await as(session, 'delete', '/sessions/current').expect(204)
  expect(answer.headers['set-cookie']?.[0]).toMatch(/^berth_session=;.*Max-Age=0$/)
  await as(session, 'get', '/me').expect(401)
})

test('a change with the cookie and without the token of that session is refused, before its body is looked at', async () => {
  const [session, other] = [await open('ann'), await open('ann')]
  for (const csrf of ['', 'wrong', other.csrf]) {
    const { body } = await as({ ...session, csrf }, 'post', '/me/tokens', { nonsense: 1 }).expect(403)
    expect(body).toMatchObject({ code: 'csrf_token', hint: expect.stringContaining('csrfToken') })
  }
  await request(people.url).delete('/api/v1/sessions/current').set('cookie', session.cookie).expect(403)
  await as(session, 'get', '/me').expect(200)
})

test('a login never takes over a session that the browser brought along, and ends it', async () => {
  const planted = await open('bob')
  const own = await open('ann', { cookie: planted.cookie })
  expect(own.cookie).not.toBe(planted.cookie)
  await as(own, 'get', '/me').expect(200, { name: 'ann', admin: false })
  await as(planted, 'get', '/me').expect(401)
  const made = await open('ann', { cookie: `berth_session=brs_${'a'.repeat(43)}` })
  expect(made.cookie).not.toContain('aaaa')
})

test('only a hash of the secret is stored', async () => {
  const { cookie } = await open('ann')
  const secret = cookie.split('=')[1] ?? ''
  const rows = await people.db.query('select row_to_json(session) as row from session')
  expect(JSON.stringify(rows)).not.toContain(secret)
  expect(Buffer.from(secret.slice(4), 'base64url')).toHaveLength(32)
})

test('people see their sessions and end one of them, and nobody else does', async () => {
  const [one, other] = [await open('bob', { 'user-agent': 'Firefox\té' }), await open('bob')]
  const ids = async () => {
    const items: { id: string; current: boolean; userAgent: string }[] = []
    for (let cursor = ''; ; ) {
      const { body } = await as(other, 'get', `/me/sessions?limit=1${cursor}`).expect(200)
      items.push(...body.items)
      if (body.next === null) return items
      cursor = `&cursor=${body.next}`
    }
  }
  const listed = await ids()
  expect(listed.filter(({ current }) => current).map(({ id }) => id)).toEqual([other.id])
  expect(listed.find(({ id }) => id === one.id)?.userAgent).toMatch(/^Firefox[ -~]+$/)
  const stranger = await open('cleo')
  await as(stranger, 'delete', `/me/sessions/${one.id}`).expect(404)
  await as(other, 'delete', `/me/sessions/${one.id}`).expect(204)
  await as(other, 'delete', `/me/sessions/${one.id}`).expect(404)
  await as(other, 'delete', '/me/sessions/none').expect(404)
  await as(one, 'get', '/me').expect(401)
  expect((await ids()).map(({ id }) => id)).not.toContain(one.id)
})

test.each([
  ['twelve hours after its last use', "last_used_at = last_used_at - interval '12 hours'"],
  ['seven days after it was opened, however much it is used', 'expires_at = now()'],
])('a session ends %s', async (_when, change) => {
  const session = await open('ann')
  await people.db.query(`update session set ${change} where id = $1`, [session.id])
  await as(session, 'get', '/me').expect(401)
  await as(session, 'get', '/sessions/current').expect(401)
})

test('a use moves the end of a session on', async () => {
  const session = await open('ann')
  await people.db.query("update session set last_used_at = now() - interval '11 hours' where id = $1", [session.id])
  await as(session, 'get', '/me').expect(200)
  const [row] = await people.db.query(
    "select from session where id = $1 and last_used_at > now() - interval '1 minute'",
    [session.id],
  )
  expect(row).toBeDefined()
})

test('of more than fifty sessions the one that was not used for longest ends', async () => {
  const first = await open('cleo')
  const second = await open('cleo')
  await people.db.query(
    `insert into session (id, hash, account, session_epoch, expires_at, address, user_agent)
     select gen_random_uuid(), sha256(n::text::bytea), account, session_epoch, expires_at, '', ''
     from session, generate_series(1, 48) as n
     where id = $1`,
    [first.id],
  )
  await people.db.query("update session set last_used_at = now() - interval '1 hour' where id = $1", [second.id])
  const last = await open('cleo')
  await as(second, 'get', '/me').expect(401)
  await as(first, 'get', '/me').expect(200)
  await as(last, 'get', '/me').expect(200)
})

test('sessions are of people with their password: no robot, no token, no guess opens one', async () => {
  const robot = await people.make('/robots', { name: 'ci-of-sessions' })
  const token = (await people.ask('ann', 'post', '/me/tokens', { name: 'no session' }).expect(201)).body.secret
  for (const [name, password] of [
    ['ci-of-sessions', robot.secret],
    ['ann', token],
    ['ann', 'wrong'],
    ['nobody', 'wrong'],
  ]) {
    const { body } = await request(people.url).post('/api/v1/sessions').send({ name, password }).expect(401)
    expect(body.code).toBe('bad_credentials')
  }
})

test('guesses are counted as at every other door', async () => {
  await people.make('/users', login('guessed'))
  const guess = () => request(people.url).post('/api/v1/sessions').send({ name: 'guessed', password: 'wrong' })
  for (let n = 0; n < 10; n++) await guess().expect(401)
  const { body, headers } = await guess().expect(429)
  expect(body.code).toBe('too_many_attempts')
  expect(Number(headers['retry-after'])).toBeGreaterThan(0)
})

test('a password that somebody else chose is to be changed before the console lets in, and only the console asks', async () => {
  await people.make('/users', login('dora'))
  const first = login('dora')
  const refused = await request(people.url).post('/api/v1/sessions').send(first).expect(403)
  expect(refused.body).toMatchObject({ code: 'password_change_required', hint: expect.stringContaining('PATCH') })
  expect(refused.headers['set-cookie']).toBeUndefined()
  await request(people.url)
    .post('/api/v1/sessions')
    .send({ ...first, password: 'wrong' })
    .expect(401)
  await people.ask('dora', 'get', '/me').expect(200)
  await request(people.url).get('/token').auth('dora', first.password).expect(200)
  expect((await people.ask('admin', 'get', '/users/dora')).body.mustChangePassword).toBe(true)
  const same = { password: first.password, currentPassword: first.password }
  expect((await people.ask('dora', 'patch', '/me', same).expect(400)).body.field).toBe('password')
  const own = 'dora chose this one'
  await people.ask('dora', 'patch', '/me', { password: own, currentPassword: first.password }).expect(200)
  await request(people.url).post('/api/v1/sessions').send({ name: 'dora', password: own }).expect(201)
  expect((await people.ask('admin', 'get', '/users/dora')).body.mustChangePassword).toBe(false)
  await people.ask('admin', 'patch', '/users/dora', { password: 'the administrator knows it' }).expect(200)
  const again = { name: 'dora', password: 'the administrator knows it' }
  await request(people.url).post('/api/v1/sessions').send(again).expect(403)
})

test('an administrator is not asked after BERTH_ADMIN_PASSWORD, nor after a password that it set for itself', async () => {
  await open('admin')
  const { password } = login('admin')
  const other = 'another of the admin'
  await people.ask('admin', 'patch', '/users/admin', { password: other }).expect(200)
  const asOther = { name: 'admin', password: other }
  await request(people.url).post('/api/v1/sessions').send(asOther).expect(201)
  await people.ask(asOther, 'patch', '/users/admin', { password }).expect(200)
})

test('a new password ends all sessions and personal tokens but the session that set it', async () => {
  const [session, other] = [await open('ann'), await open('ann')]
  const { secret } = (await as(session, 'post', '/me/tokens', { name: 'ends' }).expect(201)).body
  const wrong = { password: 'a new one of ann', currentPassword: 'wrong' }
  expect((await as(session, 'patch', '/me', wrong).expect(403)).body.code).toBe('wrong_password')
  const tokenAsPassword = { password: 'a new one of ann', currentPassword: secret }
  expect((await as(session, 'patch', '/me', tokenAsPassword).expect(403)).body.code).toBe('wrong_password')
  const change = { password: 'a new one of ann', currentPassword: login('ann').password }
  await as(session, 'patch', '/me', change).expect(200)
  await as(session, 'get', '/me').expect(200)
  await as(other, 'get', '/me').expect(401)
  await request(people.url).get('/api/v1/me').auth('ann', secret).expect(401)
})

test('who is not active any more has no session and no token, and gets none back', async () => {
  const session = await open('bob')
  const { secret } = (await as(session, 'post', '/me/tokens', { name: 'bob has one' }).expect(201)).body
  await people.ask('admin', 'patch', '/users/bob', { active: false }).expect(200)
  const isOut = async () => {
    await as(session, 'get', '/me').expect(401)
    await as(session, 'post', '/me/tokens', { name: 'another' }).expect(401)
    await request(people.url).get('/api/v1/me').auth('bob', secret).expect(401)
    await request(people.url).get('/token').auth('bob', secret).expect(401)
  }
  await isOut()
  await request(people.url).post('/api/v1/sessions').send(login('bob')).expect(401)
  await people.ask('admin', 'patch', '/users/bob', { active: true }).expect(200)
  await isOut()
})

test.each(['colour', 'csrfToken', 'admin'])('a session with the field %s is refused', async (field) => {
  const { body } = await request(people.url)
    .post('/api/v1/sessions')
    .send({ ...login('cleo'), [field]: 'x' })
    .expect(400)
  expect(body.field).toBe(field)
})
