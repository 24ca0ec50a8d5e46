import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { createTokenCheck, type PublicJwk, tokenIssuer, tokenService } from './access-token.ts'

const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ours = pair()
const kid = 'key-1'
const jwkOf = ({ publicKey }: ReturnType<typeof pair>, id: string): PublicJwk => ({
  ...(publicKey.export({ format: 'jwk' }) as { kty: 'EC'; crv: 'P-256'; x: string; y: string }),
  kid: id,
  use: 'sig',
  alg: 'ES256',
})
const jwk = jwkOf(ours, kid)
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const now = Math.floor(Date.now() / 1000)
const sound = {
  iss: tokenIssuer,
  aud: tokenService,
  sub: '00000000-0000-4000-8000-000000000001',
  name: 'reader',
  epoch: 3,
  typ: 'access',
  iat: now,
  nbf: now,
  exp: now + 300,
  access: [{ type: 'repository', name: 'a', actions: ['pull'] }],
}

/** Writes a token by hand: no library would write most of these. */
function token(claims: object, header: object = {}, key = ours.privateKey): string {
  const text = `${encode({ alg: 'ES256', typ: 'JWT', kid, ...header })}.${encode(claims)}`
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
function hmacToken(alg: string, secret: string | Buffer): string {
  const text = `${encode({ alg, typ: 'JWT', kid })}.${encode(sound)}`
  const hash = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }[alg] ?? 'sha256'
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`
}
/** A token whose header says a thing twice, with a signature of our key over what it would be without that. */
function twice(before: string, claims: object, after = '}'): string {
  const [, body = '', signature = ''] = token(claims).split('.')
  const header = JSON.stringify({ alg: 'ES256', typ: 'JWT', kid })
  const text = `${before || '{'}${header.slice(1, -1)}${after}`
  return `${Buffer.from(text).toString('base64url')}.${body}.${signature}`
}
const check = createTokenCheck([jwk])

test('a sound token says who may do what', () => {
  const account = { id: sound.sub, name: 'reader', epoch: 3, isRobot: false }
  const claims = {
    account,
    admin: false,
    api: false,
    isLimited: false,
    access: sound.access,
    expiresAt: sound.exp,
  }
  expect(check.verify(token(sound))).toEqual(claims)
  expect(check.verify(token({ ...sound, admin: true }))).toMatchObject({ admin: true })
  expect(check.verify(token({ ...sound, limited: true }))).toMatchObject({ isLimited: true })
  expect(check.verify(token({ ...sound, pass: 'a' }))).toMatchObject({ passId: 'a' })
  expect(check.verify(token({ ...sound, api: true }))).toMatchObject({ api: true, account })
  const ofRobot = check.verify(token({ ...sound, robot: true }))
  expect(ofRobot).toMatchObject({ api: false, account: { ...account, isRobot: true } })
  for (const sub of [undefined, '']) expect(check.verify(token({ ...sound, sub }))).not.toHaveProperty('account')
})

describe('another algorithm or key opens nothing', () => {
  const pem = ours.publicKey.export({ format: 'pem', type: 'spki' })
  const der = ours.publicKey.export({ format: 'der', type: 'spki' })
  const theirs = pair()
  const body = encode(sound)
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const rsaText = `${encode({ alg: 'RS256', kid })}.${body}`

  test.each([
    ...['none', 'None', 'NONE', 'nOnE', ''].map((alg) => [`alg "${alg}"`, `${encode({ alg, kid })}.${body}.`]),
    ['no alg', `${encode({ kid })}.${body}.`],
    ...['HS256', 'HS384', 'HS512'].flatMap((alg) => [
      [`${alg} over our public key in PEM`, hmacToken(alg, pem)],
      [`${alg} over our public key in DER`, hmacToken(alg, der)],
      [`${alg} over our public key as JWK`, hmacToken(alg, JSON.stringify(jwk))],
      [`${alg} over nothing`, hmacToken(alg, '')],
      [`${alg} over the key id`, hmacToken(alg, kid)],
    ]),
    ['RS256', `${rsaText}.${sign('sha256', Buffer.from(rsaText), rsa.privateKey).toString('base64url')}`],
    ['a key of somebody else', token(sound, {}, theirs.privateKey)],
    ['a key in the token', token(sound, { jwk: jwkOf(theirs, kid) }, theirs.privateKey)],
    ['a key in the token under its own id', token(sound, { kid: 'x', jwk: jwkOf(theirs, 'x') }, theirs.privateKey)],
    ['a key by address', token(sound, { jku: 'http://127.0.0.1/keys', x5u: 'http://127.0.0.1' }, theirs.privateKey)],
    ['ES384 in the header', token(sound, { alg: 'ES384' })],
    ['an unknown critical extension', token(sound, { crit: ['b64'], b64: false })],
    ['an empty list of critical extensions', token(sound, { crit: [] })],
    ['two algorithms, the good one last', twice('{"alg":"none",', sound)],
    ['two algorithms, the good one first', twice('', sound, ',"alg":"none"}')],
    ['two key ids', twice('', sound, `,"kid":"other"}`)],
  ])('%s', (_title, text) => expect(check.verify(text ?? '')).toBeUndefined())

  test.each([
    undefined,
    '',
    'other',
    '../../etc/passwd',
    "' or 1=1 --",
    '__proto__',
    'constructor',
    5,
    null,
    'k'.repeat(65),
  ])('the key id %j', (id) => expect(check.verify(token(sound, { kid: id }))).toBeUndefined())
})

describe('claims that open nothing', () => {
  test.each([
    ['another issuer', { iss: 'somebody' }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: 'other' }],
    ['no audience', { aud: undefined }],
    ['no end', { exp: undefined }],
    ['an end that is no number', { exp: 'never' }],
    ['past its end', { iat: now - 500, nbf: now - 500, exp: now - 61 }],
    ['not valid yet', { nbf: now + 120 }],
    ['no begin', { iat: undefined }],
    ['a life of more than ten minutes', { exp: now + 601 }],
    ['a refresh token', { typ: 'refresh' }],
    ['no kind', { typ: undefined }],
    ['a name for a subject', { sub: 'reader' }],
    ['a subject without a name', { name: undefined }],
    ['a subject without an epoch', { epoch: undefined }],
  ])('%s', (_title, change) => expect(check.verify(token({ ...sound, ...change }))).toBeUndefined())

  test('clocks may differ by a minute', () => {
    expect(check.verify(token({ ...sound, iat: now - 300, nbf: now + 50, exp: now - 50 }))).toBeDefined()
  })

  test('access that is malformed grants nothing', () => {
    for (const access of [
      'repository:a:pull',
      [null, 'x', { type: 'repository' }, { ...sound.access[0], actions: 'pull' }],
    ])
      expect(check.verify(token({ ...sound, access }))?.access).toEqual([])
  })
})

test.each([
  '',
  '.',
  '..',
  'a.b.c',
  '{}',
  'ä.ö.ü',
  'a'.repeat(9_000),
  'a'.repeat(1 << 20),
  token({ ...sound, more: 'a'.repeat(1 << 20) }),
  `${encode('x')}.${encode('y')}.z`,
  'e30.e30.',
])('the malformed token %.20j is refused without an error', (text) => expect(check.verify(text)).toBeUndefined())

test('every changed character of a token is noticed', () => {
  const text = token(sound)
  for (let i = 0; i < text.length - 1; i++) {
    const changed = `${text.slice(0, i)}${text[i] === 'A' ? 'B' : 'A'}${text.slice(i + 1)}`
    expect(check.verify(changed)).toBeUndefined()
  }
})

test('a token of a key that is gone is refused from then on', () => {
  const rotating = createTokenCheck([jwk])
  const text = token(sound)
  expect(rotating.verify(text)).toBeDefined()
  rotating.setKeys([jwkOf(pair(), 'key-2')])
  expect(rotating.verify(text)).toBeUndefined()
})
