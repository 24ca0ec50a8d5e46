import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { readConfig } from './config.ts'
import {
  deriveSecret,
  keyIdOf,
  makeServicePrivateKey,
  publicKeysOf,
  readServicePrivateKey,
  requireKnownKey,
  servicePrivateKey,
  servicePublicKeys,
  writePublicKeys,
} from './service-keys.ts'

const services = ['auth', 'catalog', 'registry']
const shape = {
  own: servicePrivateKey('BERTH_SERVICE_PRIVATE_KEY'),
  known: servicePublicKeys('BERTH_SERVICE_PUBLIC_KEYS', services),
}
const text = makeServicePrivateKey()
const key = readServicePrivateKey(text) as KeyObject
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = other.publicKey.export({ format: 'pem', type: 'spki' }).toString()
const known = writePublicKeys(publicKeysOf({ auth: key }))
const read = (own: string, publicKeys: string) =>
  readConfig(shape, { BERTH_SERVICE_PRIVATE_KEY: own, BERTH_SERVICE_PUBLIC_KEYS: publicKeys })

test('keys are read in base64 and PEM, whose lines may be written as \\n', () => {
  const pkcs8 = key.export({ format: 'pem', type: 'pkcs8' }).toString()
  for (const own of [text, pkcs8, pkcs8.replaceAll('\n', '\\n'), ` ${text}\n`])
    expect(keyIdOf(read(own, known).own)).toBe(keyIdOf(key))
  expect(writePublicKeys(read(text, known).known)).toBe(known)
  for (const one of [pem, pem.replaceAll('\n', '\\n')]) {
    const found = read(text, JSON.stringify({ auth: JSON.parse(known).auth, registry: one })).known
    expect(found.get(keyIdOf(other.publicKey))?.service).toBe('registry')
  }
})

test('a service may be known by two keys while one takes the place of the other', () => {
  const both = JSON.stringify({ auth: [...JSON.parse(known).auth, pem] })
  for (const one of [key, other.privateKey]) requireKnownKey('auth', one, read(text, both).known)
})

test.each([
  ['nothing', 'x', known],
  ['a key of another curve', pkcs8Of(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey), known],
  ['a key of another kind', pkcs8Of(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey), known],
  ['a public key as the private one', JSON.parse(known).auth[0], known],
  ['public keys that are no JSON', text, 'auth=x'],
  ['public keys in a list', text, '[]'],
  ['a service that there is not', text, JSON.stringify({ auht: pem })],
  ['no key of a service', text, JSON.stringify({ auth: 'x' })],
  ['a private key among the public ones', text, JSON.stringify({ auth: text })],
  ['a private key in PEM among them', text, JSON.stringify({ auth: pkcs8Of(key) })],
  ['one key of two services', text, JSON.stringify({ auth: pem, registry: pem })],
])('%s stops the start, and no key is repeated', (_title, own, publicKeys) => {
  const start = () => read(own, publicKeys)
  expect(start).toThrow(/BERTH_SERVICE_P(RIVATE_KEY|UBLIC_KEYS).* is not a (private key|JSON object)/)
  expect(start).not.toThrow(text)
})

test('a service that signs with a key that is not known as its own does not start', () => {
  const publicKeys = publicKeysOf({ auth: key })
  requireKnownKey('auth', key, publicKeys)
  expect(() => requireKnownKey('catalog', key, publicKeys)).toThrow(
    'is the key that BERTH_SERVICE_PUBLIC_KEYS has of auth',
  )
  expect(() => requireKnownKey('catalog', other.privateKey, publicKeys)).toThrow('does not have the public key')
})

test('what is made of a key is another for each purpose and for each key', () => {
  const secrets = [deriveSecret(key, 'a'), deriveSecret(key, 'b'), deriveSecret(other.privateKey, 'a')]
  expect(new Set(secrets.map((secret) => secret.toString('hex'))).size).toBe(3)
  expect(deriveSecret(key, 'a')).toEqual(secrets[0])
})

function pkcs8Of(privateKey: KeyObject): string {
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
}
