import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import request from 'supertest'
import { type StartedAuth, startAuth } from './testing/started.fixture.ts'

const password = 'the password of the admin'
let database: TestDatabase
let auth: StartedAuth

beforeAll(async () => {
  database = await makeDatabase()
  auth = await startAuth(database.url, { adminPassword: password })
  await request(auth.url)
    .post('/api/v1/users')
    .auth('admin', password)
    .send({ name: 'cleo', password: 'cleo has one' })
    .expect(201)
})
afterAll(async () => {
  await auth?.stop()
  await database?.drop()
})

// Who decides about access and who finds the operation must read a path alike, or one of them is walked around.
test.each(['/users', '/USERS', '/Users', '/users/', '/USERS/'])(
  'what is for administrators stays so, however its path is written: %s',
  async (path) => {
    const wanted = { name: 'mallory', password: 'mallory has one', admin: true }
    const answer = await request(auth.url).post(`/api/v1${path}`).auth('cleo', 'cleo has one').send(wanted)
    expect([403, 404]).toContain(answer.status)
    const list = await request(auth.url).get(`/api/v1${path}`).auth('cleo', 'cleo has one')
    expect([403, 404]).toContain(list.status)
    const users = await request(auth.url).get('/api/v1/users').auth('admin', password).expect(200)
    expect(users.body.items.map((user: { name: string }) => user.name)).toEqual(['admin', 'cleo'])
  },
)
