import {
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  type PublicKeyInput,
} from 'node:crypto'
import { parsed, type Setting } from './config.ts'
import { StartupError } from './startup-error.ts'

/** The public keys by which a service knows the others, by key id. A service may have several, so that its key can be changed. */
export type ServicePublicKeys = ReadonlyMap<string, { service: string; key: KeyObject }>

const howToMake = 'as openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 makes it'

/** The key that a service signs its calls with, for ES256: PEM, or the base64 of its PKCS 8. */
export function servicePrivateKey(env: string): Setting<KeyObject> {
  return parsed(env, `a private key of the curve P-256, ${howToMake}`, readServicePrivateKey, { secret: true })
}

/** Public keys by service, in JSON; of each service one, or a list. */
export function servicePublicKeys(env: string, services: readonly string[]): Setting<ServicePublicKeys> {
  const wants = `a JSON object of public keys of the curve P-256 by service (${services.join(', ')}), each another one`
  // No secret, but what stands there by mistake may be one.
  return parsed(env, wants, (text) => readPublicKeys(text, services), { secret: true })
}

/** Reads a private key; `undefined` when it is none for ES256. */
export function readServicePrivateKey(text: string): KeyObject | undefined {
  return read(text, (pem) => createPrivateKey(pem), 'pkcs8')
}

/** A new private key, as `servicePrivateKey` reads it. */
export function makeServicePrivateKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64')
}

/** The public keys of private ones, by service. */
export function publicKeysOf(privateKeys: Readonly<Record<string, KeyObject>>): ServicePublicKeys {
  return new Map(
    Object.entries(privateKeys).map(([service, privateKey]) => {
      const key = createPublicKey(privateKey)
      return [keyIdOf(key), { service, key }]
    }),
  )
}

/** Public keys as `servicePublicKeys` reads them. */
export function writePublicKeys(keys: ServicePublicKeys): string {
  const texts: Record<string, string[]> = {}
  for (const { service, key } of keys.values())
    (texts[service] ??= []).push(key.export({ format: 'der', type: 'spki' }).toString('base64'))
  return JSON.stringify(texts)
}

/** The id of the key that a private or public one belongs to: a hash, so that nobody has to name it. */
export function keyIdOf(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  const bytes = publicKey.export({ format: 'der', type: 'spki' })
  return createHash('sha256').update(bytes).digest('base64url').slice(0, 22)
}

/** Throws `StartupError` where a service signs with another key than the others know it by: none of its calls would be heard. */
export function requireKnownKey(service: string, privateKey: KeyObject, publicKeys: ServicePublicKeys): void {
  const known = publicKeys.get(keyIdOf(privateKey))
  if (known?.service === service) return
  throw new StartupError(
    known
      ? `BERTH_SERVICE_PRIVATE_KEY of ${service} is the key that BERTH_SERVICE_PUBLIC_KEYS has of ${known.service}`
      : `BERTH_SERVICE_PUBLIC_KEYS does not have the public key of BERTH_SERVICE_PRIVATE_KEY of ${service}`,
    `give ${service} a key of its own, and put what openssl pkey -pubout makes of it under "${service}" in BERTH_SERVICE_PUBLIC_KEYS of all services`,
  )
}

/** A secret for one purpose that all replicas of a service have, and no other service; made of its private key. */
export function deriveSecret(privateKey: KeyObject, purpose: string): Buffer {
  const { d = '' } = privateKey.export({ format: 'jwk' })
  return Buffer.from(hkdfSync('sha256', Buffer.from(d, 'base64url'), '', `berth ${purpose}`, 32))
}

/** A secret for one purpose that two services have and no other: each makes it of its own key and the public one of the other. */
export function sharedSecret(privateKey: KeyObject, publicKey: KeyObject, purpose: string): KeyObject {
  const secret = hkdfSync('sha256', diffieHellman({ privateKey, publicKey }), '', `berth ${purpose}`, 32)
  // Bytes would be made a key again for each mark, which takes five times as long.
  return createSecretKey(Buffer.from(secret))
}

function readPublicKeys(text: string, services: readonly string[]): ServicePublicKeys | undefined {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined
  const keys = new Map<string, { service: string; key: KeyObject }>()
  for (const [service, value] of Object.entries(given)) {
    if (!services.includes(service)) return undefined
    for (const one of Array.isArray(value) ? value : [value]) {
      // Of a private key the public one could be made; but then every service would have been given it.
      const key = typeof one === 'string' && !one.includes('PRIVATE') ? read(one, createPublicKey, 'spki') : undefined
      if (!key || (keys.get(keyIdOf(key))?.service ?? service) !== service) return undefined
      keys.set(keyIdOf(key), { service, key })
    }
  }
  return keys
}

/** PEM, whose lines may be divided by `\n` as it is written, or DER in base64. */
function read<Type extends 'pkcs8' | 'spki'>(
  text: string,
  create: (input: string | (PublicKeyInput & { type: Type })) => KeyObject,
  type: Type,
): KeyObject | undefined {
  const bare = text.trim().replaceAll('\\n', '\n')
  try {
    const der = { key: Buffer.from(bare, 'base64'), format: 'der', type } as const
    const key = create(bare.startsWith('-----BEGIN ') ? bare : (der as never))
    return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? key : undefined
  } catch {
    return undefined
  }
}
