import { mergeDocuments } from '@berth/standalone/origin'
import { beforeAll, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { fieldsOf, type OpenApiDocument, type Operated, operationsOf, sampleOf } from './document.ts'
import { badCursors, badFields, badTexts } from './values.ts'

const name = 'hostile/app'
const atOnce = 8
const stack = withBerth({ own: true })
/** A good value for each parameter of a path, for the time that another one is bad. */
let good: Record<string, string>

beforeAll(async () => {
  await pushRandomImage({ url: stack.url, authorization: basic(stack) }, name, 'latest')
  await make(stack, '/remotes', localRemote('hostile', 'http://127.0.0.1:1', 'library/a', { retries: 0 }))
  const task = (await stack.api('POST', '/store/repair', {})).body.id
  const { headers } = await fetch(`${stack.url}/v2/${name}/manifests/latest`, {
    method: 'HEAD',
    headers: { authorization: basic(stack) },
  })
  const digest = headers.get('docker-content-digest') ?? ''
  good = {
    repository: encodeURIComponent(name),
    distribution: encodeURIComponent(name),
    remote: 'hostile',
    task,
    digest,
  }
  good = { ...good, version: '1', tag: 'latest', user: 'admin', namespace: 'hostile', sync: task }
}, 90_000)

const document = mergeDocuments() as unknown as OpenApiDocument
// They would change the keys, or who may log in, under the requests beside them.
const operations = operationsOf(document).filter(({ id }) => !['rotateKeys', 'updateMe'].includes(id))

type Sent = { method: string; path: string; body?: string; headers?: Record<string, string> }

/** Sends all, some at once, and answers those whose answer is a failure of ours. */
async function failing(requests: readonly Sent[], under = '/api/v1'): Promise<string[]> {
  const failed: string[] = []
  const left = [...requests]
  const worker = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const { method, path, body, headers } = next
      const answer = await fetch(`${stack.url}${under}${path}`, {
        method,
        headers: {
          authorization: basic(stack),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body }),
      })
      await answer.body?.cancel()
      if (answer.status === 500)
        failed.push(`${method} ${path.slice(0, 200)} ${JSON.stringify(headers ?? body ?? '').slice(0, 200)}`)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return failed
}

const fill = ({ path }: Operated, more: Record<string, string> = {}) =>
  path.replaceAll(/\{(\w+)\}/g, (_all, key: string) => more[key] ?? good[key] ?? 'x')

const bodyOf = (operation: Operated, more: object = {}) =>
  operation.body ? JSON.stringify({ ...(sampleOf(operation.document, operation.body) as object), ...more }) : undefined
const withBody = (body: string | undefined) => (body === undefined ? {} : { body })

test('there are operations of every service', () => {
  expect(operations.length).toBeGreaterThan(40)
})

test('no bad value of a parameter of a path is answered with 500', async () => {
  const requests = operations.flatMap((operation) =>
    operation.inPath.flatMap((parameter) =>
      badTexts.map((bad) => ({
        method: operation.method,
        path: fill(operation, { [parameter]: bad }),
        ...withBody(bodyOf(operation)),
      })),
    ),
  )
  expect(await failing(requests)).toEqual([])
}, 120_000)

test('no bad value of a query parameter is answered with 500', async () => {
  const requests = operations.flatMap((operation) =>
    operation.inQuery.flatMap((parameter) =>
      [...badTexts, ...(parameter === 'cursor' ? badCursors : [])].map((bad) => ({
        method: operation.method,
        path: `${fill(operation)}?${parameter}=${bad}`,
        ...withBody(bodyOf(operation)),
      })),
    ),
  )
  expect(await failing(requests)).toEqual([])
}, 120_000)

test('a cursor that no list gave is answered with 400', async () => {
  const cursors = ['!', ...['\0', '\u{1F4A9}\0'].map((text) => Buffer.from(text).toString('base64url'))]
  for (const operation of operations.filter(({ inQuery }) => inQuery.includes('cursor'))) {
    for (const cursor of cursors) {
      const { status } = await stack.api('GET', `${fill(operation)}?cursor=${cursor}`)
      expect({ operation: operation.id, cursor, status }).toEqual({ operation: operation.id, cursor, status: 400 })
    }
  }
})

test('the number of a version above 2^31 is answered with 400 or 404', async () => {
  for (const operation of operations.filter(({ inPath }) => inPath.includes('version'))) {
    for (const version of ['2147483648', '9223372036854775808']) {
      const { status } = await stack.api(operation.method, fill(operation, { version }))
      expect([400, 404]).toContain(status)
    }
  }
})

test('no bad value of a field of a body is answered with 500', async () => {
  const requests = operations.flatMap((operation) =>
    Object.keys(fieldsOf(operation)).flatMap((field) =>
      badFields.map((bad) => ({
        method: operation.method,
        path: fill(operation),
        ...withBody(bodyOf(operation, { [field]: bad })),
      })),
    ),
  )
  expect(await failing(requests)).toEqual([])
}, 120_000)

test('no bad value of a route of /v2 is answered with 500', async () => {
  const digest = () => good.digest ?? ''
  const routes = (bad: string): Sent[] => [
    ...['GET', 'HEAD', 'PUT', 'DELETE'].flatMap((method) => [
      { method, path: `/${name}/manifests/${bad}`, headers: { 'content-type': 'application/json' } },
      { method, path: `/${bad}/manifests/latest` },
    ]),
    ...['GET', 'HEAD', 'DELETE'].map((method) => ({ method, path: `/${name}/blobs/${bad}` })),
    ...['GET', 'PATCH', 'PUT', 'DELETE'].map((method) => ({ method, path: `/${name}/blobs/uploads/${bad}` })),
    ...['n', 'last', 'x'].map((key) => ({ method: 'GET', path: `/${name}/tags/list?${key}=${bad}` })),
    ...['n', 'last'].map((key) => ({ method: 'GET', path: `/_catalog?${key}=${bad}` })),
    ...['artifactType', 'last', 'n'].map((key) => ({
      method: 'GET',
      path: `/${name}/referrers/${digest()}?${key}=${bad}`,
    })),
    { method: 'GET', path: `/${name}/referrers/${bad}` },
    { method: 'GET', path: `/${name}/manifests/latest?ns=${bad}` },
    { method: 'POST', path: `/${name}/blobs/uploads/?mount=${bad}&from=${name}` },
    { method: 'POST', path: `/${name}/blobs/uploads/?mount=${digest()}&from=${bad}` },
    { method: 'POST', path: `/${name}/blobs/uploads/?digest=${bad}` },
    { method: 'POST', path: `/${name}/blobs/uploads/?digest-algorithm=${bad}` },
  ]
  expect(await failing(badTexts.flatMap(routes), '/v2')).toEqual([])
  const headers = badTexts
    .filter((text) => text.length < 1_000)
    .flatMap((bad) =>
      ['range', 'content-range', 'if-none-match', 'if-range', 'accept', 'content-type', 'authorization'].map((key) => ({
        method: 'GET',
        path: `/${name}/manifests/latest`,
        headers: { [key]: bad },
      })),
    )
  expect(await failing(headers, '/v2')).toEqual([])
  const token = badTexts.flatMap((bad) =>
    ['scope', 'service', 'account', 'client_id', 'offline_token'].map((key) => ({
      method: 'GET',
      path: `?${key}=${bad}`,
    })),
  )
  expect(await failing(token, '/token')).toEqual([])
}, 120_000)
