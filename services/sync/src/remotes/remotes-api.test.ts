import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { type StartedSync, startSync } from '../testing/started.fixture.ts'

let sync: StartedSync
let sql: pg.Client
beforeAll(async () => {
  sync = await startSync()
  sql = new pg.Client({ connectionString: sync.databaseUrl })
  await sql.connect()
})
afterAll(async () => {
  await sql?.end()
  await sync?.stop()
})

// oxlint-disable-next-line typescript/no-explicit-any -- answers of the API, looked into by expectations
async function ask(method: string, path: string, body?: unknown): Promise<{ status: number; text: string; body: any }> {
  const answer = await fetch(`${sync.url}/api/v1${path}`, {
    method,
    headers: { authorization: sync.authorization, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, text, body: text ? JSON.parse(text) : undefined }
}
let count = 0
const good = (more: object = {}) => ({
  name: `remote-${++count}`,
  url: 'https://registry.example.com',
  upstreamName: 'library/alpine',
  ...more,
})
async function make(more: object = {}) {
  const answer = await ask('POST', '/remotes', good(more))
  expect(answer).toMatchObject({ status: 201 })
  return answer.body as { id: string; name: string; hasCredentials: boolean }
}
async function sealedOf(id: string): Promise<{ password: Buffer | null; token: Buffer | null }> {
  const { rows } = await sql.query(
    'select sealed_password as password, sealed_token as token from sync.remote where id = $1',
    [id],
  )
  return rows[0]
}

test('a remote is made, shown by id and by name, listed, changed and deleted', async () => {
  const made = await make({ includeTags: ['1.*'] })
  const byName = await ask('GET', `/remotes/${made.name}`)
  expect(byName).toMatchObject({
    status: 200,
    body: {
      id: made.id,
      policy: 'immediate',
      includeTags: ['1.*'],
      concurrency: 8,
      tlsValidation: true,
      hasCredentials: false,
    },
  })
  expect((await ask('GET', `/remotes/${made.id}`)).body).toEqual(byName.body)
  expect((await ask('GET', `/remotes?q=${made.name}`)).body.items).toHaveLength(1)
  expect((await ask('PATCH', `/remotes/${made.id}`, { concurrency: 3 })).body).toMatchObject({
    concurrency: 3,
    includeTags: ['1.*'],
  })
  // Who needs it catalog would know, which does not run here.
  expect((await ask('DELETE', `/remotes/${made.id}`)).status).toBe(503)
  expect((await ask('DELETE', `/remotes/${made.id}?force=true`)).status).toBe(204)
  expect((await ask('GET', `/remotes/${made.id}`)).status).toBe(404)
})

test('lists come in pages that hold every remote once', async () => {
  await make()
  await make()
  const names: string[] = []
  let cursor: string | null = null
  do {
    const { body } = await ask('GET', `/remotes?limit=1${cursor ? `&cursor=${cursor}` : ''}`)
    names.push(...body.items.map((item: { name: string }) => item.name))
    cursor = body.next
  } while (cursor)
  expect(names).toEqual((await ask('GET', '/remotes')).body.items.map((item: { name: string }) => item.name))
})

describe('what is refused', () => {
  const junk = '-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----'
  test.each([
    ['an unknown field', { colour: 'red' }, 'colour'],
    ['no URL', { url: 'not a url' }, 'url'],
    ['an empty URL', { url: '' }, 'url'],
    ['a URL with credentials', { url: 'https://user:pw@registry.example.com' }, 'url'],
    ['a login and no scheme', { url: 'user:pl4nted@registry.example.com:5000' }, 'url'],
    ['another scheme', { url: 'ftp://registry.example.com' }, 'url'],
    ['a file', { url: 'file:///etc/passwd' }, 'url'],
    ['a URL with a path', { url: 'https://registry.example.com/library/alpine' }, 'url'],
    ['a URL with a query', { url: 'https://registry.example.com?x=1' }, 'url'],
    ['a private address', { url: 'http://10.0.0.1' }, 'url'],
    ['a loopback address', { url: 'http://[::1]:5000' }, 'url'],
    ['this machine by name', { url: 'http://localhost:5000' }, 'url'],
    ['the metadata address of clouds', { url: 'http://169.254.169.254' }, 'url'],
    ['an address in another notation', { url: 'http://2130706433' }, 'url'],
    ['a name of a repository that is none', { upstreamName: 'Library/Alpine' }, 'upstreamName'],
    ['a repository with a tag', { upstreamName: 'library/alpine:latest' }, 'upstreamName'],
    ['a policy that is none', { policy: 'sometimes' }, 'policy'],
    ['a pattern that cannot be', { includeTags: ['ok', 'v[0-9'] }, 'includeTags[1]'],
    ['a pattern that is a regular expression', { excludeTags: ['(a+)+$'] }, 'excludeTags[0]'],
    ['an empty pattern', { includeTags: [''] }, 'includeTags[0]'],
    ['a user without a password', { username: 'reader' }, 'password'],
    ['a password without a user', { password: 'pl4nted' }, 'username'],
    ['a token and a user', { username: 'reader', password: 'pl4nted', token: 'pl4nted' }, 'token'],
    ['a certificate that is none', { caCert: 'hello' }, 'caCert'],
    ['a certificate in PEM that is none', { caCert: junk }, 'caCert'],
    ['no requests at once', { concurrency: 0 }, 'concurrency'],
    ['too many requests at once', { concurrency: 65 }, 'concurrency'],
    ['retries below none', { retries: -1 }, 'retries'],
    ['a number as text', { retries: '3' }, 'retries'],
    ['a name with odd characters', { name: 'a b' }, 'name'],
    ['no name', { name: undefined }, 'name'],
  ])('%s, by the name of the field', async (_fault, change, field) => {
    const { status, body, text } = await ask('POST', '/remotes', good(change))
    expect({ status, field: body.field }).toEqual({ status: 400, field })
    expect(body.detail).toContain(field)
    expect(text).not.toContain('pl4nted')
  })

  test.each([
    'registry.example.com',
    'registry.example.com:5000',
    'localhost:5000',
    '192.0.2.7:5000',
    '[2001:db8::1]:5000',
  ])('%s has no scheme, and the remedy is the same with one', async (url) => {
    const { status, body } = await ask('POST', '/remotes', good({ url }))
    expect([status, body.detail]).toEqual([400, expect.stringContaining('has no scheme')])
    expect(body.hint).toContain(`https://${url}, or with http://`)
  })

  test('a pattern is refused with the place of its fault and the remedy', async () => {
    const { body } = await ask('POST', '/remotes', good({ includeTags: ['v[0-9'] }))
    expect(body.detail).toContain('position 2')
    expect(body.hint).toContain('[a-z]')
  })

  test('a private address is taken when it is meant', async () => {
    expect(await make({ url: 'http://127.0.0.1:5000', allowPrivateAddresses: true })).toMatchObject({
      name: expect.any(String),
    })
  })

  test('hosts that the registry may point to are kept; metadata addresses are taken nowhere, also where private ones are', async () => {
    const redirectHosts = ['10.1.2.3:9000', 'store.example.com']
    const { id } = await make({ url: 'http://127.0.0.1:5000', allowPrivateAddresses: true, redirectHosts })
    expect((await ask('GET', `/remotes/${id}`)).body).toMatchObject({ redirectHosts })
    for (const [field, change] of [
      ['url', { url: 'http://169.254.169.254' }],
      ['redirectHosts[0]', { redirectHosts: ['[fd00:ec2::254]'] }],
      ['redirectHosts[0]', { redirectHosts: ['http://x'] }],
      ['tokenHosts[0]', { tokenHosts: ['100.100.100.200'] }],
      ['proxyUrl', { proxyUrl: 'http://[fe80::1]:3128' }],
      ['redirectHosts[0]', { allowPrivateAddresses: false, url: 'https://registry.example.com' }],
    ] as const)
      expect(await ask('PATCH', `/remotes/${id}`, change)).toMatchObject({ status: 400, body: { field } })
  })

  test('a name that is taken is a conflict that says so', async () => {
    const { name } = await make()
    expect(await ask('POST', '/remotes', good({ name }))).toMatchObject({
      status: 409,
      body: { field: 'name', code: 'name_taken' },
    })
  })

  test('a change that would make a remote impossible changes nothing', async () => {
    const { id } = await make()
    const before = (await ask('GET', `/remotes/${id}`)).body
    expect(await ask('PATCH', `/remotes/${id}`, { url: 'http://10.0.0.1' })).toMatchObject({
      status: 400,
      body: { field: 'url' },
    })
    expect(await ask('PATCH', `/remotes/${id}`, { username: 'reader' })).toMatchObject({
      status: 400,
      body: { field: 'password' },
    })
    expect((await ask('GET', `/remotes/${id}`)).body).toEqual(before)
  })

  test.each([
    ['GET', undefined],
    ['PATCH', { concurrency: 2 }],
    ['DELETE', undefined],
  ])('%s of a remote that is not there is a 404', async (method, body) => {
    expect(await ask(method, '/remotes/nothing', body)).toMatchObject({
      status: 404,
      body: { code: 'remote_not_found' },
    })
  })
})

describe('secrets', () => {
  const secret = 'pl4nted-s3cret'
  test('are never shown, in no answer and no event', async () => {
    const made = await make({ username: 'reader', password: secret })
    expect(made.hasCredentials).toBe(true)
    for (const [method, path, body] of [
      ['GET', `/remotes/${made.id}`],
      ['GET', '/remotes'],
      ['PATCH', `/remotes/${made.id}`, { concurrency: 2 }],
    ] as const)
      expect((await ask(method, path, body)).text).not.toContain(secret)
    const { rows } = await sql.query('select event::text as event from sync.outbox')
    expect(rows.length).toBeGreaterThan(0)
    expect(JSON.stringify(rows)).not.toContain(secret)
  })

  test('lie sealed in the database, the same one never in the same bytes', async () => {
    const [one, two] = [await make({ token: secret }), await make({ token: secret })]
    const [sealedOne, sealedTwo] = [(await sealedOf(one.id)).token, (await sealedOf(two.id)).token]
    expect(sealedOne?.includes(secret)).toBe(false)
    expect(sealedOne?.equals(sealedTwo as Buffer)).toBe(false)
  })

  test('stay when a change does not name them, are replaced, and are taken away by null', async () => {
    const { id } = await make({ username: 'reader', password: secret })
    const before = await sealedOf(id)
    await ask('PATCH', `/remotes/${id}`, { retries: 1 })
    expect(await sealedOf(id)).toEqual(before)
    await ask('PATCH', `/remotes/${id}`, { password: 'another' })
    const replaced = await sealedOf(id)
    expect(replaced.password?.equals(before.password as Buffer)).toBe(false)
    const bare = await ask('PATCH', `/remotes/${id}`, { username: null, password: null })
    expect(bare).toMatchObject({ status: 200, body: { hasCredentials: false, username: null } })
    expect(await sealedOf(id)).toEqual({ password: null, token: null })
  })
})

test('without a login nothing is told', async () => {
  expect((await fetch(`${sync.url}/api/v1/remotes`)).status).toBe(401)
})
