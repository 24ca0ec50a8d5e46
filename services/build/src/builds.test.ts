import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openBlobStore } from '@berth/blobs'
import { createLogger, createMetrics, readConfig } from '@berth/service'
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
import { workerSettings } from '@berth/worker'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import request from 'supertest'
import { createBuild } from './app.ts'
import { buildOwnSettings } from './config.ts'

const password = 'the password of the admin'
const away = 'http://127.0.0.1:1'
let folder: string
let database: TestDatabase
let auth: ServiceProcess
let off: Served
let on: Served
let blobs: Awaited<ReturnType<typeof openBlobStore>>

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'berth-build-'))
  database = await makeDatabase()
  const secretsKey = randomBytes(32).toString('base64')
  auth = await startProcess('auth', database.url, { BERTH_SECRETS_KEY: secretsKey, BERTH_ADMIN_PASSWORD: password })
  const login = await request(auth.url).get('/token?service=berth').auth('admin', password)
  authorization = `Bearer ${login.body.token}`
  blobs = await openBlobStore({ blobsDirectory: path.join(folder, 'blobs') })
  const config = {
    ...readConfig({ ...buildOwnSettings, ...workerSettings }, {}),
    buildDirectory: folder,
    databaseUrl: database.url,
    natsUrl: testServers().natsUrl,
    ...keysOf('build'),
    authUrl: auth.internalUrl,
    catalogUrl: away,
    syncUrl: away,
    tasksUrl: away,
    callTimeoutSeconds: 1,
    secretsKey,
  }
  const parts = () => ({ log: createLogger({ service: 'build', silent: true }), metrics: createMetrics() })
  const findEngine = async () => ({ missing: 'buildah is not installed' })
  off = await serve(createBuild(config, { ...parts(), findEngine }))
  on = await serve(createBuild({ ...config, builds: true }, { ...parts(), findEngine, blobs }))
})
afterAll(async () => {
  await on?.stop()
  await off?.stop()
  await auth?.stop()
  await blobs?.close()
  await database?.drop()
  await rm(folder, { recursive: true })
})

// Of the administrator: a token, for a password is checked slowly on purpose.
let authorization: string
const post = (to: Served) => request(to.url).post('/api/v1/builds').set('authorization', authorization)

test('there are no builds at first, and the answer says so to those who are logged in', async () => {
  const list = request(off.url).get('/api/v1/builds?repository=library/alpine').auth('admin', password)
  await list.expect(200, { items: [], next: null })
  await request(off.url).get('/api/v1/builds').expect(401)
  await request(off.url).get('/api/v1/builds').auth('admin', 'wrong').expect(401)
})

test('a build that is not there is not found', async () => {
  for (const place of ['some', 'some/log']) {
    const { body } = await request(off.url).get(`/api/v1/builds/${place}`).auth('admin', password).expect(404)
    expect(body.code).toBe('build_not_found')
  }
})

test('where builds are switched off they are refused, and the answer says how they are switched on', async () => {
  const { body } = await post(off).field('repository', 'team/app').expect(403)
  expect(body).toMatchObject({ code: 'builds_disabled', hint: expect.stringContaining('BERTH_BUILDS=true') })
})

test('nobody builds without a login, and no byte of the form is read before it', async () => {
  await request(on.url).post('/api/v1/builds').set('content-type', 'multipart/form-data').expect(401)
})

test.each<[string, string, [string, string][]]>([
  ['repository', 'is missing', [['containerfile', 'FROM scratch']]],
  ['containerfile', 'is missing', [['repository', 'team/app']]],
  ['containerfile', 'is empty', [['containerfile', ' \n']]],
  ['repository', 'is no name', [['repository', 'Team/App']]],
  ['tag', 'is no tag', [['tag', '-x']]],
  [
    'tag',
    'comes twice',
    [
      ['tag', 'a'],
      ['tag', 'a'],
    ],
  ],
  ['tag', 'more than 20', Array.from({ length: 21 }, (_, n): [string, string] => ['tag', `t${n}`])],
  ['buildArg', 'is not NAME=VALUE', [['buildArg', 'VERSION']]],
  ['buildArg', 'is not NAME=VALUE', [['buildArg', '1A=2']]],
  ['label', 'is not NAME=VALUE', [['label', 'io.berth.build.context=sha256:0']]],
  ['target', 'is no name', [['target', 'a b']]],
  ['platform', 'is no platform', [['platform', 'linux']]],
  ['noCache', 'is no boolean', [['noCache', 'yes']]],
  ['network', 'is neither', [['network', 'host']]],
  ['secret', 'is not ID=VALUE', [['secret', 'hunter2']]],
  ['sourceDateEpoch', 'is no time', [['sourceDateEpoch', 'today']]],
  ['colour', 'is no field', [['colour', 'red']]],
  [
    'label',
    'more than fits',
    Array.from({ length: 70 }, (_, n): [string, string] => ['label', `l${n}=${'x'.repeat(63_000)}`]),
  ],
  [
    'target',
    'comes twice',
    [
      ['target', 'a'],
      ['target', 'b'],
    ],
  ],
  ['label', 'more than 65536 bytes', [['label', `a=${'x'.repeat(70_000)}`]]],
])('a form whose %s %s is refused with the field and what to do', async (field, message, fields) => {
  const sending = post(on)
  for (const [name, value] of fields) sending.field(name, value)
  const { body } = await sending.expect(400)
  expect(body).toMatchObject({ code: 'invalid_field', field, detail: expect.stringContaining(message) })
  expect(body.hint).toBeTruthy()
  expect(JSON.stringify(body)).not.toContain('hunter2')
})

test('fields come before the context, which comes once, and is refused where one is behind it', async () => {
  const { body } = await post(on)
    .attach('context', Buffer.from('x'), 'context.tar')
    .field('repository', 'team/app')
    .expect(400)
  expect(body).toMatchObject({ code: 'invalid_field' })
})

test('another body than multipart, and one that is damaged, are told apart', async () => {
  await post(on).send({ repository: 'team/app' }).expect(415)
  const damaged = post(on).set('content-type', 'multipart/form-data')
  expect((await damaged.send('x').expect(415)).body.code).toBe('unsupported_media_type')
  const cut = post(on).set('content-type', 'multipart/form-data; boundary=x')
  expect((await cut.send('--x\r\ncontent-disposition: form-data; name="tag"\r\n\r\nv').expect(400)).body.code).toBe(
    'invalid_form',
  )
})
