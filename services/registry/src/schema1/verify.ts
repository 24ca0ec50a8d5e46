import { createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto'
import { OciError, type Schema1Signature, type SignedSchema1 } from '@berth/oci'

const algorithms: Record<string, { hash: string; keyType: 'ec' | 'rsa' }> = {
  ES256: { hash: 'sha256', keyType: 'ec' },
  ES384: { hash: 'sha384', keyType: 'ec' },
  ES512: { hash: 'sha512', keyType: 'ec' },
  RS256: { hash: 'sha256', keyType: 'rsa' },
  RS384: { hash: 'sha384', keyType: 'rsa' },
  RS512: { hash: 'sha512', keyType: 'rsa' },
}
// Larger ones only cost time: 8,192 bits of RSA are 1,366 characters.
const keyLimitCharacters = 8_192

/**
 * Checks every signature of a schema 1 manifest with the key that comes with it (RFC 7515 §5.2). Whose key it is says nothing
 * to us: clients make one of their own. Throws `OciError` MANIFEST_UNVERIFIED.
 */
export function verifySchema1({ payload, signatures }: SignedSchema1): void {
  const encoded = Buffer.from(payload).toString('base64url')
  for (const [i, one] of signatures.entries()) {
    const algorithm = algorithms[one.algorithm]
    if (!algorithm) throw unverified(`signatures[${i}].header.alg must be one of ${Object.keys(algorithms).join(', ')}`)
    const key = readKey(one, `signatures[${i}].header`)
    if (key.asymmetricKeyType !== algorithm.keyType)
      throw unverified(`signatures[${i}].header names a key that ${one.algorithm} cannot be made with`)
    const signed = Buffer.from(`${one.protected}.${encoded}`)
    const isGenuine = verify(
      algorithm.hash,
      signed,
      { key, dsaEncoding: 'ieee-p1363' },
      Buffer.from(one.signature, 'base64url'),
    )
    if (!isGenuine) throw unverified(`signatures[${i}] is not a signature of this manifest; sign it again`)
  }
}

function readKey({ key }: Schema1Signature, field: string): KeyObject {
  if (JSON.stringify(key).length > keyLimitCharacters) throw unverified(`${field} names a key that is too large`)
  try {
    if ('certificate' in key) return new X509Certificate(Buffer.from(key.certificate, 'base64')).publicKey
    return createPublicKey({ key: key.jwk, format: 'jwk' })
  } catch (cause) {
    throw unverified(`${field} names no key that can be read`, cause)
  }
}

function unverified(fault: string, cause?: unknown): OciError {
  return new OciError('MANIFEST_UNVERIFIED', `the manifest cannot be verified: ${fault}`, { cause })
}
