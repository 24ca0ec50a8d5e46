import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export const schema1Type = 'application/vnd.docker.distribution.manifest.v1+json'
export const schema1SignedType = 'application/vnd.docker.distribution.manifest.v1+prettyjws'

/** The text of a schema 1 manifest of these layers, newest first, without signatures. */
export function schema1Text(name: string, tag: string, layers: readonly string[], more: object = {}): string {
  const history = layers.map((layer, i) => {
    const parent = layers[i + 1] === undefined ? {} : { parent: idOf(layers, i + 1) }
    return {
      v1Compatibility: JSON.stringify({ id: idOf(layers, i), ...parent, created: '2020-01-01T00:00:00Z', layer }),
    }
  })
  const fsLayers = layers.map((blobSum) => ({ blobSum }))
  return JSON.stringify({ schemaVersion: 1, name, tag, architecture: 'amd64', fsLayers, history, ...more }, null, 3)
}

function idOf(layers: readonly string[], i: number): string {
  return createHash('sha256').update(layers.slice(i).join()).digest('hex')
}

export type Schema1Key = { privateKey: KeyObject; jwk: object; algorithm: 'ES256' | 'RS256' }

export function makeSchema1Key(algorithm: Schema1Key['algorithm']): Schema1Key {
  const { privateKey, publicKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { privateKey, jwk: publicKey.export({ format: 'jwk' }), algorithm }
}

/** Signs as docker did: the signatures stand in the text, before its end. Spec: docker's "Image Manifest V 2, Schema 1". */
export function signSchema1(text: string, ...keys: readonly Schema1Key[]): string {
  const end = /\s*\}\s*$/.exec(text)?.index ?? 0
  const signatures = keys.map((key) => signatureOf(text, Buffer.byteLength(text.slice(0, end)), text.slice(end), key))
  return `${text.slice(0, end)},\n   "signatures": ${JSON.stringify(signatures)}${text.slice(end)}`
}

function signatureOf(text: string, formatLength: number, tail: string, key: Schema1Key): object {
  const encode = (bytes: string) => Buffer.from(bytes).toString('base64url')
  const covered = encode(JSON.stringify({ formatLength, formatTail: encode(tail), time: '2020-01-01T00:00:00Z' }))
  const input = Buffer.from(`${covered}.${encode(text)}`)
  const signature = sign('sha256', input, { key: key.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
  return { header: { jwk: key.jwk, alg: key.algorithm }, signature, protected: covered }
}
