import { X509Certificate } from 'node:crypto'
import { badField } from '@berth/service'

/** Whose tokens are believed, and how what it publishes is fetched. */
export type Issuer = {
  issuer: string
  /** Its keys, instead of those that it publishes. */
  jwks: KeySet | null
  caCert: string | null
  allowPrivateAddresses: boolean
  allowHttp: boolean
}
export type KeySet = { keys: Record<string, unknown>[] }

const longestKeySet = 65_536
const mostKeys = 100
const asymmetric: readonly unknown[] = ['RSA', 'EC', 'OKP', 'AKP']

type SentIssuer = {
  issuer: string
  jwks?: unknown
  caCert?: string | null
  allowPrivateAddresses?: boolean
  allowHttp?: boolean
}

/** What is sent of an issuer, with what is so where nothing is said. */
export function issuerIn({ issuer, jwks, caCert, allowPrivateAddresses, allowHttp }: SentIssuer): Issuer {
  return {
    issuer,
    jwks: (jwks ?? null) as KeySet | null,
    caCert: caCert ?? null,
    allowPrivateAddresses: allowPrivateAddresses ?? false,
    allowHttp: allowHttp ?? false,
  }
}

/** Checks what an administrator says of an issuer. Throws 400. */
export function checkIssuer({ issuer, jwks, caCert, allowHttp }: Issuer): void {
  const url = URL.parse(issuer)
  const example = 'For example https://login.example.com/realms/main, as the issuer itself writes it in its tokens.'
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw badField('issuer', 'is no https URL', example)
  if (url.username !== '' || url.password !== '' || issuer.includes('?') || issuer.includes('#'))
    throw badField('issuer', 'has a login, a query or a fragment', example)
  if (url.protocol === 'http:' && !allowHttp)
    throw badField('issuer', 'begins with http://', 'Use https, or set allowHttp where nobody can change what is sent.')
  if (caCert !== null && !isCertificate(caCert))
    throw badField('caCert', 'is not a certificate in PEM form', 'It begins with -----BEGIN CERTIFICATE-----.')
  if (jwks === null) return
  if (JSON.stringify(jwks).length > longestKeySet) throw badField('jwks', `is longer than ${longestKeySet} characters`)
  if (!isKeySet(jwks))
    throw badField(
      'jwks',
      'is no set of public keys',
      'It is {"keys": [{"kty": "RSA", …}]}, as the jwks_uri of the issuer answers it.',
    )
  const place = jwks.keys.findIndex((key) => 'd' in key || 'k' in key)
  if (place >= 0)
    throw badField(`jwks.keys[${place}]`, 'is a private key', 'Send public keys only, and exchange that one.')
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    // OpenSSL says no more than that it is none
    return false
  }
}

/** Whether something is a set of public keys (RFC 7517) that is not too large. */
export function isKeySet(value: unknown): value is KeySet {
  const { keys } = (value ?? {}) as { keys?: unknown }
  return (
    Array.isArray(keys) &&
    keys.length > 0 &&
    keys.length <= mostKeys &&
    keys.every((key) => typeof key === 'object' && key !== null && asymmetric.includes((key as { kty?: unknown }).kty))
  )
}
