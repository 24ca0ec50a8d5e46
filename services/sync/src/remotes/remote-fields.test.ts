import { generateKeyPairSync } from 'node:crypto'
import { makeSelfSigned } from '@berth/service/testing'
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

const planted = 'pl4nted-s3cret'
const pair = makeSelfSigned('client')
const [clientCert, clientKey] = [pair.cert.toString(), pair.key.toString()]
const otherKey = makeSelfSigned('other').key.toString()
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const cosignKey = publicKey.export({ type: 'spki', format: 'pem' }).toString()
const lockedKey = privateKey
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: planted })
  .toString()
const armored = (first: number) =>
  `-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: a key\n\n${Buffer.from([first, 4, 4, 1, 2, 3]).toString('base64')}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n`
const gpgKey = armored(0x98)
const signedBy = (more: object) => ({ signatures: { require: true, keys: [{ type: 'cosign', name: 'ci', ...more }] } })

let count = 0
const one = (more: object = {}) => ({
  name: `remote-${++count}`,
  url: 'https://registry.example.com',
  upstreamName: 'library/alpine',
  ...more,
})
const many = (more: object = {}) => ({
  name: `remote-${++count}`,
  url: 'https://registry.example.com',
  upstreamNames: ['library/alpine', 'team-*/[a-z]?*'],
  targetPrefix: 'mirror/hub',
  ...more,
})
const all = {
  platforms: ['linux/amd64', 'linux/arm64/v8', 'windows/amd64'],
  username: 'reader',
  password: planted,
  tokenHosts: ['auth.example.com', 'auth.example.com:8443'],
  clientCert,
  clientKey,
  proxyUrl: 'http://proxy.example.com:3128',
  proxyUsername: 'outward',
  proxyPassword: planted,
  headers: { 'X-Team': planted, 'x-flag': 'yes' },
  rateLimit: 2.5,
  timeouts: { connectSeconds: 1, headersSeconds: 2.5 },
  includeForeignLayers: true,
  signatures: {
    require: true,
    keys: [
      { type: 'cosign', name: 'ci', publicKey: cosignKey },
      { type: 'gpg', name: 'release', publicKey: gpgKey },
    ],
    sigstore: 'https://signatures.example.com/store',
  },
}

test('every field is kept and shown, and of secrets only that they are there', async () => {
  const made = await ask('POST', '/remotes', one(all))
  const { password: _1, clientKey: _2, proxyPassword: _3, headers: _4, ...open } = all
  const shown = {
    ...open,
    hasCredentials: true,
    hasClientKey: true,
    hasProxyPassword: true,
    headerNames: ['X-Team', 'x-flag'],
  }
  expect(made).toMatchObject({ status: 201, body: shown })
  expect(made.text).not.toContain(planted)
  expect(made.text).not.toContain(clientKey.split('\n')[1])
  expect((await ask('GET', `/remotes/${made.body.id}`)).body).toEqual(made.body)
})

test('what is not sent has the defaults that the API document names', async () => {
  expect((await ask('POST', '/remotes', one())).body).toMatchObject({
    upstreamNames: [],
    targetPrefix: null,
    platforms: [],
    tokenHosts: [],
    clientCert: null,
    hasClientKey: false,
    proxyUrl: null,
    hasProxyPassword: false,
    headerNames: [],
    rateLimit: null,
    timeouts: null,
    includeForeignLayers: false,
    signatures: null,
  })
})

test('null takes each field away again', async () => {
  const { body } = await ask('POST', '/remotes', one(all))
  const none = Object.fromEntries(
    ['username', 'password', 'clientCert', 'clientKey', 'proxyUrl', 'proxyUsername', 'proxyPassword', 'headers']
      .concat(['rateLimit', 'timeouts', 'signatures'])
      .map((field) => [field, null]),
  )
  expect(await ask('PATCH', `/remotes/${body.id}`, none)).toMatchObject({
    status: 200,
    body: { hasCredentials: false, hasClientKey: false, headerNames: [], timeouts: null, signatures: null },
  })
})

test('a remote of one repository becomes one of many and back', async () => {
  const { body } = await ask('POST', '/remotes', one())
  const names = { upstreamName: null, upstreamNames: ['library/*'], targetPrefix: '' }
  expect(await ask('PATCH', `/remotes/${body.id}`, names)).toMatchObject({ status: 200, body: names })
  const name = { upstreamName: 'library/alpine', upstreamNames: [], targetPrefix: null }
  expect(await ask('PATCH', `/remotes/${body.id}`, name)).toMatchObject({ status: 200, body: name })
})

test('of changes at once each is checked against what the one before left', async () => {
  const { body } = await ask('POST', '/remotes', one({ username: 'reader', password: planted }))
  const answers = await Promise.all([
    ask('PATCH', `/remotes/${body.id}`, { username: null, password: null }),
    ask('PATCH', `/remotes/${body.id}`, { password: 'another' }),
    ask('PATCH', `/remotes/${body.id}`, { platforms: ['linux/amd64'] }),
    ask('PATCH', `/remotes/${body.id}`, { rateLimit: 3 }),
  ])
  expect(answers.map(({ status }) => status).filter((status) => status !== 200 && status !== 400)).toEqual([])
  expect((await ask('GET', `/remotes/${body.id}`)).body).toMatchObject({
    platforms: ['linux/amd64'],
    rateLimit: 3,
    hasCredentials: false,
    username: null,
  })
})

describe('what is refused', () => {
  const certOfNothing = '-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----'
  const faults: [string, object, string][] = [
    ['a prefix for no names', { upstreamName: undefined, targetPrefix: 'mirror' }, 'targetPrefix'],
    ['one and many', { upstreamNames: ['a'] }, 'upstreamNames'],
    ['a prefix for one repository', { targetPrefix: 'mirror' }, 'targetPrefix'],
    ['many without a prefix', many({ targetPrefix: undefined, upstreamName: undefined }), 'targetPrefix'],
    ['a prefix that is no name', many({ targetPrefix: 'Mirror', upstreamName: undefined }), 'targetPrefix'],
    ['a prefix that ends in a slash', many({ targetPrefix: 'mirror/', upstreamName: undefined }), 'targetPrefix'],
    [
      'a name among many that is none',
      many({ upstreamNames: ['a', 'B'], upstreamName: undefined }),
      'upstreamNames[1]',
    ],
    ['a name with a tag', many({ upstreamNames: ['a:1'], upstreamName: undefined }), 'upstreamNames[0]'],
    ['a pattern that cannot be', many({ upstreamNames: ['a/[b'], upstreamName: undefined }), 'upstreamNames[0]'],
    [
      'a name that is too long with its prefix',
      many({ upstreamNames: ['a'.repeat(250)], upstreamName: undefined }),
      'upstreamNames[0]',
    ],
    ['a platform without architecture', { platforms: ['linux'] }, 'platforms[0]'],
    ['a platform with odd characters', { platforms: ['linux/amd64', 'Linux/AMD64'] }, 'platforms[1]'],
    ['a platform with too many parts', { platforms: ['linux/arm/v7/x'] }, 'platforms[0]'],
    ['a URL with an escaped login', { url: 'https://us%65r@registry.example.com' }, 'url'],
    ['a private address in IPv6', { url: 'https://[::ffff:127.0.0.1]' }, 'url'],
    ['a loopback address in hexadecimal', { url: 'https://0x7f.1' }, 'url'],
    ['a name below localhost', { url: 'https://registry.localhost' }, 'url'],
    ['an old protocol', { url: 'gopher://registry.example.com' }, 'url'],
    ['a token host with a scheme', { tokenHosts: ['https://auth.example.com'] }, 'tokenHosts[0]'],
    ['a token host with a path', { tokenHosts: ['auth.example.com/token'] }, 'tokenHosts[0]'],
    ['a token host with a login', { tokenHosts: ['a:b@auth.example.com'] }, 'tokenHosts[0]'],
    ['a token host at a private address', { tokenHosts: ['10.1.2.3'] }, 'tokenHosts[0]'],
    ['a client certificate that is none', { clientCert: 'hello', clientKey }, 'clientCert'],
    ['a client certificate with a wrong body', { clientCert: certOfNothing, clientKey }, 'clientCert'],
    ['a client certificate without its key', { clientCert }, 'clientKey'],
    ['a client key without its certificate', { clientKey }, 'clientCert'],
    ['a client key that is none', { clientCert, clientKey: planted }, 'clientKey'],
    ['a client key with a passphrase', { clientCert, clientKey: lockedKey }, 'clientKey'],
    ['a client key of another certificate', { clientCert, clientKey: otherKey }, 'clientKey'],
    ['a client certificate over http', { url: 'http://registry.example.com', clientCert, clientKey }, 'clientCert'],
    ['a certificate authority over http', { url: 'http://registry.example.com', caCert: clientCert }, 'caCert'],
    ['a proxy with credentials', { proxyUrl: `http://u:${planted}@proxy.example.com` }, 'proxyUrl'],
    ['a proxy of another protocol', { proxyUrl: 'socks5://proxy.example.com' }, 'proxyUrl'],
    ['a proxy at a private address', { proxyUrl: 'http://192.168.0.1:3128' }, 'proxyUrl'],
    ['a proxy with a path', { proxyUrl: 'http://proxy.example.com/x' }, 'proxyUrl'],
    ['a login at no proxy', { proxyUsername: 'u', proxyPassword: planted }, 'proxyUrl'],
    ['a user of the proxy alone', { proxyUrl: 'http://proxy.example.com', proxyUsername: 'u' }, 'proxyPassword'],
    [
      'a password of the proxy alone',
      { proxyUrl: 'http://proxy.example.com', proxyPassword: planted },
      'proxyUsername',
    ],
    ['the header of the login', { headers: { Authorization: planted } }, 'headers.Authorization'],
    ['the header Host', { headers: { host: planted } }, 'headers.host'],
    ['a header of the connection', { headers: { 'Transfer-Encoding': planted } }, 'headers.Transfer-Encoding'],
    ['a header of the content', { headers: { 'content-length': planted } }, 'headers.content-length'],
    ['a header of the proxy', { headers: { 'proxy-authorization': planted } }, 'headers.proxy-authorization'],
    ['a header with a line break', { headers: { 'x-a': `${planted}\r\nx-b: 1` } }, 'headers.x-a'],
    ['a header with a name of two words', { headers: { 'x a': planted } }, 'headers'],
    ['a header twice', { headers: { 'x-a': planted, 'X-A': planted } }, 'headers.X-A'],
    ['a header that is no text', { headers: { 'x-a': 1 } }, 'headers.x-a'],
    ['no requests a second', { rateLimit: 0 }, 'rateLimit'],
    ['requests below none', { rateLimit: -1 }, 'rateLimit'],
    ['an unknown timeout', { timeouts: { totalSeconds: 1 } }, 'timeouts.totalSeconds'],
    ['a timeout of nothing', { timeouts: { connectSeconds: 0 } }, 'timeouts.connectSeconds'],
    ['required signatures without keys', { signatures: { require: true, keys: [] } }, 'signatures.keys'],
    ['signatures that do not say whether', { signatures: { keys: [] } }, 'signatures.require'],
    ['a cosign key that is none', signedBy({ publicKey: 'hello' }), 'signatures.keys[0].publicKey'],
    ['a private key as a cosign key', signedBy({ publicKey: clientKey }), 'signatures.keys[0].publicKey'],
    ['a GPG key that is none', signedBy({ type: 'gpg', publicKey: cosignKey }), 'signatures.keys[0].publicKey'],
    ['a GPG signature as a key', signedBy({ type: 'gpg', publicKey: armored(0x88) }), 'signatures.keys[0].publicKey'],
    ['a key of another kind', signedBy({ type: 'x509', publicKey: cosignKey }), 'signatures.keys[0].type'],
    [
      'two keys of one name',
      {
        signatures: {
          require: true,
          keys: [1, 2].map(() => ({ type: 'cosign', name: 'ci', publicKey: cosignKey })),
        },
      },
      'signatures.keys[1].name',
    ],
    ['a token with a line break', { token: `${planted}\n` }, 'token'],
    ['a user with a colon', { username: 'team:reader', password: planted }, 'username'],
    [
      'a user of the proxy with a colon',
      { proxyUrl: 'http://proxy.example.com', proxyUsername: 'a:b', proxyPassword: planted },
      'proxyUsername',
    ],
    [
      'a sigstore with a query',
      { signatures: { require: false, keys: [], sigstore: `https://signatures.example.com/a?token=${planted}` } },
      'signatures.sigstore',
    ],
    [
      'a sigstore that is a file',
      { signatures: { require: false, keys: [], sigstore: 'file:///etc/passwd' } },
      'signatures.sigstore',
    ],
  ]
  test.each(faults)('%s, by the name of the field, with a remedy', async (_fault, change, field) => {
    const before = await sql.query('select count(*) from sync.remote')
    const { status, body, text } = await ask('POST', '/remotes', one(change))
    expect({ status, field: body.field }).toEqual({ status: 400, field })
    expect(text).not.toContain(planted)
    expect((await sql.query('select count(*) from sync.remote')).rows).toEqual(before.rows)
  })

  test.each(faults)('%s, also as a change, which then changes nothing', async (_fault, change, field) => {
    const { id } = (await ask('POST', '/remotes', one())).body
    const before = (await ask('GET', `/remotes/${id}`)).body
    const { name: _name, upstreamName, ...changes } = one(change)
    const { status, body } = await ask('PATCH', `/remotes/${id}`, { ...changes, upstreamName: upstreamName ?? null })
    expect({ status, field: body.field }).toEqual({ status: 400, field })
    expect((await ask('GET', `/remotes/${id}`)).body).toEqual(before)
  })

  test('a pattern of names with the place of its fault and the remedy', async () => {
    const { body } = await ask('POST', '/remotes', many({ upstreamNames: ['library/*', 'team/[z-a]'] }))
    expect(body).toMatchObject({ status: 400, field: 'upstreamNames[1]' })
    expect(body.detail).toContain('position 7')
    expect(body.hint).toContain('[a-z]')
  })

  test('a certificate that does not fit the key that is already sealed', async () => {
    const { id } = (await ask('POST', '/remotes', one({ clientCert, clientKey }))).body
    const other = makeSelfSigned('renewed').cert.toString()
    expect(await ask('PATCH', `/remotes/${id}`, { clientCert: other })).toMatchObject({
      status: 400,
      body: { field: 'clientKey' },
    })
  })
})

describe('a remote that gets another address', () => {
  const elsewhere = 'https://elsewhere.example.com'
  test.each<[string, object]>([
    ['password', { username: 'reader', password: planted }],
    ['token', { token: planted }],
    ['clientKey', { clientCert, clientKey }],
    ['headers', { headers: { 'x-team': planted } }],
  ])('does not take its %s along: that has to be sent again', async (field, secret) => {
    const { id } = (await ask('POST', '/remotes', one(secret))).body
    for (const url of [elsewhere, 'http://registry.example.com', 'https://registry.example.com:8443'])
      expect((await ask('PATCH', `/remotes/${id}`, { url })).status).toBe(400)
    expect(await ask('PATCH', `/remotes/${id}`, { url: elsewhere })).toMatchObject({ status: 400, body: { field } })
    expect((await ask('GET', `/remotes/${id}`)).body.url).toBe('https://registry.example.com')
    expect(await ask('PATCH', `/remotes/${id}`, { url: elsewhere, ...secret })).toMatchObject({
      status: 200,
      body: { url: elsewhere },
    })
  })

  test('may leave its secrets behind, and keeps them under another name of the same registry', async () => {
    const { id } = (await ask('POST', '/remotes', one({ url: 'https://docker.io', token: planted }))).body
    expect((await ask('PATCH', `/remotes/${id}`, { url: 'https://registry-1.docker.io' })).status).toBe(200)
    expect((await ask('PATCH', `/remotes/${id}`, { url: elsewhere, token: null })).status).toBe(200)
  })

  test('of its proxy does not take the login there along', async () => {
    const login = { proxyUrl: 'http://proxy.example.com', proxyUsername: 'u', proxyPassword: planted }
    const { id } = (await ask('POST', '/remotes', one(login))).body
    expect(await ask('PATCH', `/remotes/${id}`, { proxyUrl: 'http://other.example.com' })).toMatchObject({
      status: 400,
      body: { field: 'proxyPassword' },
    })
  })
})

describe('a remote that gets a proxy which could read its secrets', () => {
  const proxyUrl = 'http://proxy.example.com:3128'
  const ways: [string, object, object][] = [
    ['as it goes there without TLS', { url: 'http://registry.example.com' }, { proxyUrl }],
    ['as its TLS is not checked', { tlsValidation: false }, { proxyUrl }],
    ['as its TLS is not checked from now on', { proxyUrl }, { tlsValidation: false }],
    ['as it trusts another authority from now on', { proxyUrl }, { caCert: clientCert }],
    ['as it trusts an authority of its own', { caCert: clientCert }, { proxyUrl }],
  ]
  test.each(ways)('%s, needs them again', async (_way, before, change) => {
    for (const [field, secret] of [
      ['password', { username: 'reader', password: planted }],
      ['token', { token: planted }],
      ['headers', { headers: { 'x-team': planted } }],
    ] as const) {
      const { id } = (await ask('POST', '/remotes', one({ ...before, ...secret }))).body
      expect(await ask('PATCH', `/remotes/${id}`, change)).toMatchObject({ status: 400, body: { field } })
      expect((await ask('PATCH', `/remotes/${id}`, { ...change, ...secret })).status).toBe(200)
    }
  })

  test('and cannot read them by TLS that is checked, keeps them', async () => {
    const { id } = (await ask('POST', '/remotes', one({ token: planted }))).body
    expect((await ask('PATCH', `/remotes/${id}`, { proxyUrl })).status).toBe(200)
    expect((await ask('PATCH', `/remotes/${id}`, { concurrency: 3, proxyUrl: null })).status).toBe(200)
  })
})

test('no secret lies open in any table, event or answer', async () => {
  const { id } = (await ask('POST', '/remotes', one(all))).body
  await ask('PATCH', `/remotes/${id}`, { headers: { 'X-Other': planted } })
  await ask('DELETE', `/remotes/${id}?force=true`)
  await ask('POST', '/remotes', one(all))
  const { rows: tables } = await sql.query(
    `select table_name as name from information_schema.tables where table_schema = 'sync'`,
  )
  const key = clientKey.split('\n')[1] ?? ''
  for (const { name } of tables) {
    const { rows } = await sql.query(
      `select encode(convert_to(t::text, 'UTF8'), 'escape') as row from sync."${name}" t`,
    )
    const dump = rows.map((row) => row.row).join('\n')
    expect({
      name,
      leaks: [planted, key, Buffer.from(planted).toString('hex')].filter((x) => dump.includes(x)),
    }).toEqual({
      name,
      leaks: [],
    })
  }
})
