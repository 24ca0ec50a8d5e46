import { beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

type Case = [what: string, method: string, path: string, body: unknown, expected: { status: number; field?: string }]

const noUuid = '00000000-0000-4000-8000-000000000000'
const remote = (more: object) => ({ ...localRemote('r2', 'http://127.0.0.1:5000', 'library/a'), ...more })

const cases: Case[] = [
  [
    'an unknown field of a repository',
    'POST',
    '/repositories',
    { name: 'a', colour: 'red' },
    { status: 400, field: 'colour' },
  ],
  ['a repository without a name', 'POST', '/repositories', {}, { status: 400, field: 'name' }],
  ['a name of the wrong type', 'POST', '/repositories', { name: 7 }, { status: 400, field: 'name' }],
  ['a name that is none', 'POST', '/repositories', { name: 'Not A Name' }, { status: 400, field: 'name' }],
  [
    'a label of the wrong type',
    'POST',
    '/repositories',
    { name: 'a', labels: { x: 1 } },
    { status: 400, field: 'labels.x' },
  ],
  [
    'a repository that is there already',
    'POST',
    '/repositories',
    { name: 'taken/app' },
    { status: 409, field: 'name' },
  ],
  ['a repository that is not there', 'GET', '/repositories/no%2Fsuch', undefined, { status: 404 }],
  ['a version that is not there', 'GET', '/repositories/taken%2Fapp/versions/9', undefined, { status: 404 }],
  [
    'a version that is no number',
    'GET',
    '/repositories/taken%2Fapp/versions/last',
    undefined,
    { status: 400, field: 'version' },
  ],
  ['a rollback to no version', 'POST', '/repositories/taken%2Fapp/rollback', {}, { status: 400, field: 'version' }],
  [
    'a rollback to a version that is not there',
    'POST',
    '/repositories/taken%2Fapp/rollback',
    { version: 9 },
    { status: 404 },
  ],
  ['an unknown query parameter', 'GET', '/repositories?colour=red', undefined, { status: 400, field: 'colour' }],
  ['a limit that is no number', 'GET', '/repositories?limit=many', undefined, { status: 400, field: 'limit' }],
  [
    'a distribution of a repository that is not there',
    'POST',
    '/distributions',
    { name: 'd', basePath: 'd', repository: 'no/such' },
    { status: 404 },
  ],
  [
    'a base path that is served already',
    'POST',
    '/distributions',
    { name: 'other', basePath: 'taken/app', repository: 'taken/app' },
    { status: 409, field: 'basePath' },
  ],
  [
    'an access that is none',
    'POST',
    '/distributions',
    { name: 'd', basePath: 'd', repository: 'taken/app', access: 'open' },
    { status: 400, field: 'access' },
  ],
  ['an unknown field of a remote', 'POST', '/remotes', remote({ colour: 'red' }), { status: 400, field: 'colour' }],
  ['a remote whose URL is none', 'POST', '/remotes', remote({ url: 'not a url' }), { status: 400, field: 'url' }],
  [
    'a concurrency of the wrong type',
    'POST',
    '/remotes',
    remote({ concurrency: 'all' }),
    { status: 400, field: 'concurrency' },
  ],
  ['a policy that is none', 'POST', '/remotes', remote({ policy: 'later' }), { status: 400, field: 'policy' }],
  ['a remote that is there already', 'POST', '/remotes', remote({ name: 'taken' }), { status: 409, field: 'name' }],
  ['a remote that is not there', 'GET', '/remotes/none', undefined, { status: 404 }],
  ['a change of a field that is none', 'PATCH', '/remotes/taken', { colour: 'red' }, { status: 400, field: 'colour' }],
  ['a sync without a remote', 'POST', '/syncs', { repository: 'taken/app' }, { status: 400, field: 'remote' }],
  [
    'a sync of a remote that is not there',
    'POST',
    '/syncs',
    { repository: 'taken/app', remote: 'none' },
    { status: 404 },
  ],
  [
    'a sync into a repository that is not there',
    'POST',
    '/syncs',
    { repository: 'no/such', remote: 'taken' },
    { status: 404 },
  ],
  [
    'a mode that is none',
    'POST',
    '/syncs',
    { repository: 'taken/app', remote: 'taken', mode: 'upwards' },
    { status: 400, field: 'mode' },
  ],
  ['a task that is not there', 'GET', `/tasks/${noUuid}`, undefined, { status: 404 }],
  ['a task whose id is none', 'GET', '/tasks/first', undefined, { status: 404 }],
  ['a state of tasks that is none', 'GET', '/tasks?state=asleep', undefined, { status: 400, field: 'state' }],
  [
    'an unknown field of a user',
    'POST',
    '/users',
    { name: 'u', password: 'long enough for it', age: 3 },
    { status: 400, field: 'age' },
  ],
  [
    'a password that is too short',
    'POST',
    '/users',
    { name: 'u', password: 'short' },
    { status: 400, field: 'password' },
  ],
  [
    'a user that is there already',
    'POST',
    '/users',
    { name: 'admin', password: 'long enough for it' },
    { status: 409, field: 'name' },
  ],
  ['a user that is not there', 'GET', '/users/nobody', undefined, { status: 404 }],
  ['U+0000 in a path', 'GET', '/repositories/a%00b', undefined, { status: 400, field: 'path' }],
  ['U+0000 in a parameter', 'GET', '/repositories?q=%00', undefined, { status: 400, field: 'q' }],
  [
    'U+0000 in a field',
    'POST',
    '/repositories',
    { name: 'a', description: '\0' },
    { status: 400, field: 'description' },
  ],
  [
    'half a surrogate pair, deep in a field',
    'POST',
    '/repositories',
    { name: 'a', labels: { kind: 'a\ud800' } },
    { status: 400, field: 'labels' },
  ],
  ['U+0000 in the name of a field', 'POST', '/repositories', { name: 'a', 'b\0': 1 }, { status: 400 }],
  ['a path that is none', 'GET', '/colours', undefined, { status: 404 }],
]

describe('bad input of the API is answered with problem+json that names the field', () => {
  const stack = withBerth()
  beforeAll(async () => {
    await make(stack, '/repositories', { name: 'taken/app' })
    await make(stack, '/distributions', { name: 'taken/app', basePath: 'taken/app', repository: 'taken/app' })
    await make(stack, '/remotes', localRemote('taken', 'http://127.0.0.1:5000', 'library/a'))
  }, 60_000)

  test.each(cases)('%s', async (_what, method, path, body, expected) => {
    const answer = await stack.api(method, path, body)
    expect(answer.body).toMatchObject({ ...expected, code: expect.any(String), detail: expect.any(String) })
    expect(answer.status).toBe(expected.status)
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(answer.body.detail.length).toBeGreaterThan(5)
  })

  test('a distribution whose new repository lacks the version that it is pinned to', async () => {
    await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'pinned/app', '1')
    await make(stack, '/repositories', { name: 'taken/other' })
    const pinned = { name: 'pinned', basePath: 'pinned', repository: 'pinned/app', version: 1 }
    await make(stack, '/distributions', pinned)
    const { status, body } = await stack.api('PATCH', '/distributions/pinned', { repository: 'taken/other' })
    expect({ status, field: body.field }).toEqual({ status: 400, field: 'version' })
    expect(body.detail).toContain('no version 1')
  })

  test('a body that is no JSON', async () => {
    const answer = await fetch(`${stack.url}/api/v1/repositories`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`admin:${stack.password}`)}`, 'content-type': 'application/json' },
      body: '{"name": ',
    })
    expect(answer.status).toBe(400)
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  })

  test('a body that nests a hundred thousand deep', async () => {
    const answer = await fetch(`${stack.url}/api/v1/repositories`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`admin:${stack.password}`)}`, 'content-type': 'application/json' },
      body: `{"name":"deep","labels":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    })
    expect(answer.status).toBe(400)
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  })

  test('all faults of a body are named at once', async () => {
    const { body } = await stack.api('POST', '/repositories', { name: 7, colour: 'red' })
    expect(body.faults.map((fault: { field: string }) => fault.field).sort()).toEqual(['colour', 'name'])
  })
})
