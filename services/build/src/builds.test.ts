import { randomBytes } from 'node:crypto'
import { createLogger, createMetrics } from '@berth/service'
import {
  keysOf,
  makeDatabase,
  type Served,
  type ServiceProcess,
  serve,
  startProcess,
  type TestDatabase,
  testServers,
} from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import request from 'supertest'
import { createBuild } from './app.ts'

const password = 'the password of the admin'
let database: TestDatabase
let auth: ServiceProcess
let build: Served

beforeAll(async () => {
  database = await makeDatabase()
  auth = await startProcess('auth', database.url, {
    BERTH_SECRETS_KEY: randomBytes(32).toString('base64'),
    BERTH_ADMIN_PASSWORD: password,
  })
  build = await serve(
    createBuild(
      { databaseUrl: database.url, natsUrl: testServers().natsUrl, ...keysOf('build'), authUrl: auth.internalUrl },
      { log: createLogger({ service: 'build', level: 'error' }), metrics: createMetrics() },
    ),
  )
})
afterAll(async () => {
  await build?.stop()
  await auth?.stop()
  await database?.drop()
})

test('there are no builds yet, and the answer says so to those who are logged in', async () => {
  const list = request(build.url).get('/api/v1/builds?repository=library/alpine').auth('admin', password)
  await list.expect(200, { items: [], next: null })
  await request(build.url).get('/api/v1/builds').expect(401)
  await request(build.url).get('/api/v1/builds').auth('admin', 'wrong').expect(401)
})

test('a build that is not there is not found', async () => {
  const { body } = await request(build.url).get('/api/v1/builds/some').auth('admin', password).expect(404)
  expect(body.code).toBe('build_not_found')
  await request(build.url).post('/api/v1/builds').auth('admin', password).send({}).expect(405)
})
