import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { keyIdOf, publicKeysOf } from './service-keys.ts'
import { createServiceTokenCheck, createServiceTokens } from './service-token.ts'

const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
const [registry, catalog, stranger] = [pair().privateKey, pair().privateKey, pair().privateKey]
const publicKeys = publicKeysOf({ registry, catalog })
const check = createServiceTokenCheck({ publicKeys, self: 'catalog' })
const kid = keyIdOf(registry)
const now = Math.floor(Date.now() / 1000)
const sound = { iss: 'registry', aud: 'catalog', iat: now, exp: now + 60 }

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
/** Writes a token by hand: no library would write most of these. */
function token(claims: object = {}, header: object = {}, key: KeyObject = registry): string {
  const text = `${encode({ alg: 'ES256', typ: 'JWT', kid, ...header })}.${encode({ ...sound, ...claims })}`
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
function hmacToken(secret: string | Buffer): string {
  const text = `${encode({ alg: 'HS256', typ: 'JWT', kid })}.${encode(sound)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

test('a token tells the service whose key it was signed with, as often as it is shown', () => {
  const ours = createServiceTokens({ privateKey: registry, from: 'registry', to: 'catalog' })
  for (let n = 0; n < 3; n++) expect(check(ours())).toBe('registry')
  expect(ours()).toBe(ours())
  expect(check(token())).toBe('registry')
})

describe('a token opens nothing', () => {
  const publicKey = createPublicKey(registry)
  const pem = publicKey.export({ format: 'pem', type: 'spki' })
  const der = publicKey.export({ format: 'der', type: 'spki' })

  test.each([
    ['that says it is of another service', token({ iss: 'catalog' })],
    ['that says it is of no service', token({ iss: undefined })],
    ['of another service under the id of its own key', token({}, { kid: keyIdOf(catalog) }, catalog)],
    ['of a key of nobody', token({}, { kid: keyIdOf(stranger) }, stranger)],
    ['of a key of nobody under a known id', token({}, {}, stranger)],
    ['with its key inside', token({}, { jwk: createPublicKey(stranger).export({ format: 'jwk' }) }, stranger)],
    ['with a key to be fetched', token({}, { jku: 'http://127.0.0.1:1/', kid: 'x' }, stranger)],
    ...['', 'x', '__proto__', 5, null, undefined].map((id) => [`of the key id ${id}`, token({}, { kid: id })] as const),
    ['for another service', token({ aud: 'auth' })],
    ['for nobody', token({ aud: undefined })],
    ['whose time is over', token({ iat: now - 200, exp: now - 61 })],
    ['without an end', token({ exp: undefined })],
    ['that lives for an hour', token({ exp: now + 3_600 })],
    ['that begins later and lives long', token({ iat: now + 3_600, exp: now + 3_660 })],
    ['without a signature', `${encode({ alg: 'none', kid })}.${encode(sound)}.`],
    ['with "none" and the signature kept', token({}, { alg: 'none' })],
    ['by HMAC over the public key in PEM', hmacToken(pem)],
    ['by HMAC over the public key in DER', hmacToken(der)],
    ['by HMAC over the public key in base64', hmacToken(der.toString('base64'))],
    ['by HMAC over nothing', hmacToken('')],
    ['of another algorithm in its header', token({}, { alg: 'ES384' })],
    ['that is long', token({ filler: 'x'.repeat(2_000) })],
    ['that is none', 'a.b.c'],
    ['of which nothing is there', ''],
    ['whose header is no JSON', 'ä.ö.ü'],
  ])('%s', (_title, text) => expect(check(text)).toBeUndefined())

  test('of which a character was changed', () => {
    const text = token()
    expect(check(text)).toBe('registry')
    for (let i = 0; i < text.length - 1; i++)
      expect(check(`${text.slice(0, i)}${text[i] === 'A' ? 'B' : 'A'}${text.slice(i + 1)}`)).toBeUndefined()
  })

  test('that was taken before, at another service', () => {
    const text = token()
    expect(check(text)).toBe('registry')
    expect(createServiceTokenCheck({ publicKeys, self: 'auth' })(text)).toBeUndefined()
  })
})
