import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { adminRights, noRights } from '@berth/access'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type ApiHandler, type ApiRequest, createApi, type Identify } from './api.ts'
import type { ApiDocument } from './api-document.ts'
import { inertHeaders } from './browser-guard.ts'
import { createLogger } from './logger.ts'
import { createMetrics } from './metrics.ts'
import { badField, Problem } from './problem.ts'
import { closeServer, listen } from './service.ts'

const body = {
  required: true,
  content: {
    'application/json': {
      schema: {
        type: 'object',
        additionalProperties: false,
        required: ['name'],
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 20 },
          size: { type: 'integer', minimum: 1, maximum: 9 },
          kind: { type: ['string', 'null'], enum: ['sync', 'gc', null] },
          id: { type: 'string', format: 'uuid' },
          tags: { type: 'array', minItems: 1, maxItems: 2, items: { type: 'string', pattern: '^[a-z]+$' } },
        },
      },
    },
  },
}
const responses = { '200': { description: 'ok' } }
const administer = [{ verb: 'administer', over: 'everything' }]
const operation = (operationId: string, access: unknown, more: object = {}) =>
  ({ operationId, 'x-access': access, responses, ...more }) as never
const documentOf = (paths: ApiDocument['paths']): ApiDocument => ({
  openapi: '3.1.0',
  info: { title: 'test' },
  servers: [{ url: '/api/v1' }],
  paths,
})
const document = documentOf({
  '/open': {
    get: operation('open', 'anonymous'),
    post: operation('login', 'anonymous', { requestBody: body, 'x-audit': 'thing:{body.name}' }),
  },
  '/things': {
    get: operation('list', 'self'),
    post: operation('make', administer, { requestBody: body, 'x-audit': 'thing:{body.name}' }),
  },
  '/typed/{kind}': {
    get: operation('typed', 'anonymous', {
      parameters: [
        { name: 'kind', in: 'path', required: true, schema: { type: 'integer' } },
        { name: 'limit', in: 'query', schema: { type: 'integer' } },
        { name: 'force', in: 'query', schema: { type: 'boolean' } },
        { name: 'q', in: 'query', schema: { type: 'string' } },
      ],
    }),
  },
  '/faults/{kind}': {
    get: operation('fault', 'anonymous', {
      parameters: [{ name: 'kind', in: 'path', required: true, schema: { type: 'string' } }],
    }),
  },
})

const identify: Identify = async (authorization) => {
  if (authorization === undefined) return undefined
  if (authorization === 'Bearer wrong') throw new Problem(401, 'bad_credentials', 'These credentials are not right.')
  const admin = authorization === 'Bearer admin'
  return { id: '', name: authorization, admin, rights: admin ? adminRights('') : noRights('') }
}
const faults: Record<string, Error> = {
  field: badField('size', 'is too small', 'Take a larger one.'),
  unforeseen: new Error('the password of the database is hunter2'),
}
type Handler = (request: Omit<ApiRequest, 'params'> & { params: { kind: string } }) => ReturnType<ApiHandler>
const handlers: Record<string, Handler> = {
  open: async ({ principal }) => ({ status: 200, body: { who: principal.name } }),
  list: async ({ principal }) => ({ status: 200, body: { who: principal.name } }),
  make: async (request) => ({ status: 201, body: request.body }),
  login: async () => ({ status: 200 }),
  typed: async ({ params, query }) => ({ status: 200, body: { params, query } }),
  fault: async ({ params }) => Promise.reject(faults[params.kind]),
}
const parts = {
  service: 'test',
  identify,
  log: createLogger({ service: 'test', silent: true }),
  metrics: createMetrics(),
}

let api: Awaited<ReturnType<typeof listen>>
beforeAll(async () => {
  api = await listen(createApi({ ...parts, document, handlers }), { port: 0, host: '127.0.0.1' })
})
afterAll(() => closeServer(api.server, 0))

async function ask(method: string, path: string, options: { as?: string; body?: unknown; raw?: string } = {}) {
  const answer = await fetch(`http://127.0.0.1:${api.port}${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(options.as ? { authorization: `Bearer ${options.as}` } : {}),
    },
    ...(options.raw === undefined && options.body === undefined
      ? {}
      : { body: options.raw ?? JSON.stringify(options.body) }),
  })
  const type = answer.headers.get('content-type') ?? ''
  return {
    status: answer.status,
    type,
    headers: answer.headers,
    body: (await answer.json()) as Record<string, unknown>,
  }
}
const make = (sent: unknown) => ask('POST', '/api/v1/things', { as: 'admin', body: sent })

describe('a page of another site', () => {
  const external = 'https://hub.example.org'
  let behindProxy: Awaited<ReturnType<typeof listen>>
  beforeAll(async () => {
    const guarded = createApi({ ...parts, document, handlers, externalUrl: external })
    behindProxy = await listen(guarded, { port: 0, host: '127.0.0.1' })
  })
  afterAll(() => closeServer(behindProxy.server, 0))
  // Not by fetch, which sets these headers itself.
  const send = (method: string, headers: Record<string, string>) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const body = method === 'POST' ? JSON.stringify({ name: 'a' }) : ''
      const given = { authorization: 'Bearer admin', 'content-type': 'application/json', ...headers }
      const { port } = behindProxy
      request({ port, host: '127.0.0.1', path: '/api/v1/things', method, headers: given }, resolve)
        .on('error', reject)
        .end(body)
    })

  test.each([
    ['another origin', { origin: 'https://evil.example' }],
    ['an origin that is hidden', { origin: 'null' }],
    ['the same host on another port', { origin: 'https://hub.example.org:8443' }],
    ['a browser that says so', { 'sec-fetch-site': 'cross-site' }],
    ['a browser that says so beside our origin', { 'sec-fetch-site': 'cross-site', origin: external }],
  ])('changes nothing, by %s, and may look as before', async (_, headers) => {
    const answer = await send('POST', headers)
    expect(answer.statusCode).toBe(403)
    expect(JSON.parse(Buffer.concat(await answer.toArray()).toString())).toMatchObject({ code: 'cross_origin' })
    expect((await send('GET', headers)).resume().statusCode).toBe(200)
  })

  test.each<[string, Record<string, string>]>([
    ['a program', {}],
    ['our own page behind a proxy', { origin: external, 'sec-fetch-site': 'same-origin' }],
    ['our own page, by the host of the request', { origin: 'http://hub:8080', host: 'hub:8080' }],
    ['our own page, by a proxy that names the usual port', { origin: 'https://hub', host: 'hub:443' }],
    ['our own page, by the host that a proxy was asked for', { origin: 'https://hub', 'x-forwarded-host': 'hub' }],
  ])('is not what %s is taken for', async (_, headers) => {
    expect((await send('POST', headers)).resume().statusCode).toBe(201)
  })
})

test('a body of who has not logged in is small, and of very many faults some are told', async () => {
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`field${i}`, i]))
  const base = `http://127.0.0.1:${api.port}/api/v1`
  const sent = (fields: object, headers: Record<string, string> = {}) => ({
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(fields),
  })
  expect((await fetch(`${base}/open`, sent({ name: 'a' }))).status).toBe(200)
  expect((await fetch(`${base}/open`, sent(many))).status).toBe(413)
  const answer = await fetch(`${base}/things`, sent(many, { authorization: 'Bearer admin' }))
  const text = await answer.text()
  expect([answer.status, JSON.parse(text).faults.length]).toEqual([400, 20])
  expect(text.length).toBeLessThan(5_000)
})

test('parts of a path and of a query come as the types that the document names', async () => {
  const reply = await ask('GET', '/api/v1/typed/7?limit=5&force=true&q=5')
  expect(reply.body).toEqual({ params: { kind: 7 }, query: { limit: 5, force: true, q: '5' } })
})

test('so does a part of a path that is 0', async () => {
  expect((await ask('GET', '/api/v1/typed/0')).body).toMatchObject({ params: { kind: 0 } })
})

test('no answer of the API can be made more of by a browser than bytes', async () => {
  for (const [method, path] of [
    ['GET', '/api/v1/open'],
    ['GET', '/api/v1/nothing'],
    ['POST', '/api/v1/things'],
  ] as const) {
    const { headers } = await ask(method, path)
    for (const [name, value] of Object.entries(inertHeaders)) expect(headers.get(name)).toBe(value)
  }
})

describe('who is let in', () => {
  test('an anonymous operation answers everybody', async () => {
    expect((await ask('GET', '/api/v1/open')).body).toEqual({ who: '' })
  })

  test('without a login the answer is 401, and says how to log in', async () => {
    const answer = await ask('GET', '/api/v1/things')
    expect([answer.status, answer.type]).toEqual([401, 'application/problem+json'])
    expect(answer.headers.get('www-authenticate')).toBe('Basic realm="berth"')
    expect(answer.body).toMatchObject({ code: 'login_required', hint: expect.any(String) })
  })

  test('bad credentials are refused even where none are needed', async () => {
    expect((await ask('GET', '/api/v1/open', { as: 'wrong' })).status).toBe(401)
  })

  test('an operation of administrators is forbidden to others', async () => {
    const answer = await ask('POST', '/api/v1/things', { as: 'somebody', body: { name: 'x' } })
    expect([answer.status, answer.body.code]).toEqual([403, 'not_allowed'])
  })

  test('without a login nobody learns what exists', async () => {
    expect((await ask('GET', '/api/v1/nothing')).status).toBe(401)
    expect((await ask('GET', '/api/v1/nothing', { as: 'somebody' })).status).toBe(404)
  })

  test('who is not let in is told so before any byte of a body is read', async () => {
    const socket = connect(api.port, '127.0.0.1')
    socket.write(
      'POST /api/v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 900000\r\nexpect: 100-continue\r\n\r\n',
    )
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 401 /)
  })
})

describe('what a request may hold', () => {
  test('a good one reaches its handler', async () => {
    expect(await make({ name: 'x', size: 2 })).toMatchObject({ status: 201, body: { name: 'x', size: 2 } })
  })

  test.each([
    ['an unknown field', { name: 'x', nmae: 'y' }, 'nmae'],
    ['a missing field', {}, 'name'],
    ['a wrong type', { name: 5 }, 'name'],
    ['an empty text', { name: '' }, 'name'],
    ['a number below its bound', { name: 'x', size: 0 }, 'size'],
    ['half a number', { name: 'x', size: 1.5 }, 'size'],
  ])('%s is refused by its name', async (_fault, sent, field) => {
    const answer = await make(sent)
    expect([answer.status, answer.type]).toEqual([400, 'application/problem+json'])
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request', field })
    expect(answer.body.detail).toContain(field)
  })

  test.each([
    [{ name: 5 }, 'name: has to be a string'],
    [{ name: '' }, 'name: is empty'],
    [{ name: 'x'.repeat(21) }, 'name: is longer than 20 characters'],
    [{}, 'name: is missing'],
    [{ name: 'x', nmae: 'y' }, 'nmae: is no field of this request'],
    [{ name: 'x', size: 0 }, 'size: has to be at least 1'],
    [{ name: 'x', size: 10 }, 'size: has to be at most 9'],
    [{ name: 'x', size: 1.5 }, 'size: has to be a whole number'],
    [{ name: 'x', kind: 'odd' }, 'kind: has to be one of sync, gc, null'],
    [{ name: 'x', id: 'odd' }, 'id: is no uuid'],
    [{ name: 'x', tags: [] }, 'tags: is an empty list'],
    [{ name: 'x', tags: ['a', 'b', 'c'] }, 'tags: names more than 2'],
    [{ name: 'x', tags: ['a', 'B'] }, 'tags[1]: is not written as ^[a-z]+$'],
    [{ name: 'x', tags: 'a' }, 'tags: has to be a list'],
  ])('%j is refused in plain words', async (sent, detail) => {
    expect((await make(sent)).body.detail).toBe(detail)
  })

  test('all faults are told at once', async () => {
    const { body: problem } = await make({ name: '', size: 0, more: 1 })
    expect((problem.faults as { field: string }[]).map(({ field }) => field).sort()).toEqual(['more', 'name', 'size'])
  })

  test.each([
    ['no JSON', '{', 400],
    ['a list', '[]', 400],
    ['nothing', '', 400],
    ['more than a megabyte', JSON.stringify({ name: 'x'.repeat(1 << 20) }), 413],
  ])('%s as a body is refused', async (_fault, raw, status) => {
    const answer = await ask('POST', '/api/v1/things', { as: 'admin', raw })
    expect([answer.status, answer.type]).toEqual([status, 'application/problem+json'])
  })

  test.each([['{"password": hunter2}'], ['{"password": "hunter2",}'], ['{"password": "hunter2'], ['hunter2']])(
    'a body that is no JSON (%s) is not repeated',
    async (raw) => {
      const answer = await ask('POST', '/api/v1/things', { as: 'admin', raw })
      expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request', hint: expect.any(String) })
      expect(answer.body.detail).toContain('is not JSON')
      expect(JSON.stringify(answer.body)).not.toMatch(/hun|ter2/)
    },
  )
})

describe('refusals', () => {
  test('a path that is none is a 404 that says where the paths are', async () => {
    const { status, body: problem } = await ask('GET', '/api/v1/nothing', { as: 'admin' })
    expect(status).toBe(404)
    expect(problem).toMatchObject({ title: 'Not found', code: 'no_such_path', traceId: expect.any(String) })
  })

  test('a problem of a handler reaches the caller with field and hint', async () => {
    const { status, body: problem } = await ask('GET', '/api/v1/faults/field')
    expect(status).toBe(400)
    expect(problem).toMatchObject({ field: 'size', hint: 'Take a larger one.', detail: 'size: is too small' })
  })

  test('what nobody foresaw is a 500 that tells nothing of the inside', async () => {
    const answer = await ask('GET', '/api/v1/faults/unforeseen')
    expect(answer.status).toBe(500)
    expect(JSON.stringify(answer.body)).not.toContain('hunter2')
    expect(answer.body.traceId).toBe(answer.headers.get('x-request-id'))
  })

  test('a harmless request id of the caller is kept, another is not', async () => {
    const idFor = async (id: string) =>
      (await fetch(`http://127.0.0.1:${api.port}/api/v1/open`, { headers: { 'x-request-id': id } })).headers.get(
        'x-request-id',
      )
    expect(await idFor('abc-123')).toBe('abc-123')
    expect(await idFor('a"b{}')).not.toBe('a"b{}')
    expect(await idFor('x'.repeat(65))).not.toBe('x'.repeat(65))
  })
})

describe('what keeps an API from starting', () => {
  test('an operation without x-access', () => {
    const open = documentOf({ '/a': { get: { operationId: 'open' } } })
    expect(() => createApi({ ...parts, document: open, handlers })).toThrow('has no x-access')
  })

  test.each([
    ['a change that nothing says the object of', {}, 'has no x-audit'],
    ['an x-audit that says nothing known', { 'x-audit': 'thing:{name}:' }, 'has an x-audit'],
  ])('%s', (_what, more, message) => {
    const silent = documentOf({ '/a': { post: operation('login', 'self', more) } })
    expect(() => createApi({ ...parts, document: silent, handlers })).toThrow(message)
  })

  test('an operation without a handler', () => {
    const orphan = documentOf({ '/a': { get: operation('orphan', 'self') } })
    expect(() => createApi({ ...parts, document: orphan, handlers })).toThrow('has no handler')
  })
})
