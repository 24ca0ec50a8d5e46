import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto'

/**
 * Signs a schema 1 manifest as docker does: its signature stands in the text, before its end, and says where and what stood
 * there (RFC 7515; docker's "Image Manifest Version 2, Schema 1", "Signed Manifests"). The key must be of P-256.
 */
export function signSchema1(payload: string, privateKey: KeyObject): string {
  const end = /\s*\}\s*$/.exec(payload)?.index ?? 0
  const tail = payload.slice(end)
  const formatLength = Buffer.byteLength(payload.slice(0, end))
  const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
  const covered = encode(JSON.stringify({ formatLength, formatTail: encode(tail), time }))
  const input = Buffer.from(`${covered}.${encode(payload)}`)
  const signature = sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
  const header = { jwk: publicJwk(privateKey), alg: 'ES256' }
  return `${payload.slice(0, end)},\n   "signatures": ${JSON.stringify([{ header, signature, protected: covered }])}${tail}`
}

function publicJwk(privateKey: KeyObject): Record<string, string | undefined> {
  const key = createPublicKey(privateKey)
  const { crv, kty, x, y } = key.export({ format: 'jwk' })
  return { crv, kid: keyId(key), kty, x, y }
}

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** The name of a key as docker makes it: 240 bits of the hash of its DER, in base32, by four. */
function keyId(key: KeyObject): string {
  const hash = createHash('sha256')
    .update(key.export({ format: 'der', type: 'spki' }))
    .digest()
    .subarray(0, 30)
  const bits = [...hash].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const letters = (bits.match(/.{5}/g) ?? []).map((five) => base32[Number.parseInt(five, 2)]).join('')
  return (letters.match(/.{4}/g) ?? []).join(':')
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url')
}
