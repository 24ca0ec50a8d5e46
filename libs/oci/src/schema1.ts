import { type Digest, parseDigest } from './digest.ts'
import { jsonDepth } from './json-scan.ts'
import { isRepositoryName, isTag } from './names.ts'
import { invalidManifest, OciError } from './oci-error.ts'

/** Most layers of a schema 1 manifest; docker itself stops at 127. */
const layerLimit = 1_000
const v1DepthLimit = 32
/** Most signatures of one manifest; clients make one. */
const schema1SignatureLimit = 16

/** One signature of a signed schema 1 manifest, as it stands there: base64url texts, and a header that names the key. */
export type Schema1Signature = {
  algorithm: string
  key: { jwk: Record<string, unknown> } | { certificate: string }
  protected: string
  signature: string
}

/** A signed schema 1 manifest taken apart. The digest of the manifest is that of the payload. */
export type SignedSchema1 = { payload: Uint8Array; signatures: Schema1Signature[] }

type Json = Record<string, unknown>

/**
 * Judges the body of a schema 1 manifest and answers the layers it names, newest first, as they stand there. Throws
 * `OciError` MANIFEST_INVALID or DIGEST_INVALID with the field.
 */
export function readSchema1(body: Json): Digest[] {
  if (body.schemaVersion !== 1)
    throw invalidManifest(`schemaVersion must be 1, not ${JSON.stringify(body.schemaVersion)}`)
  if (typeof body.name !== 'string' || !isRepositoryName(body.name))
    throw invalidManifest('"name" must be a repository name')
  // Empty where the manifest was made for a digest and not for a tag.
  if (body.tag !== '' && !(typeof body.tag === 'string' && isTag(body.tag)))
    throw invalidManifest('"tag" must be a tag')
  const { fsLayers, history } = body
  if (!Array.isArray(fsLayers) || fsLayers.length === 0)
    throw invalidManifest('it needs the array "fsLayers" with its layers')
  if (fsLayers.length > layerLimit) throw invalidManifest(`it has ${fsLayers.length} layers, more than ${layerLimit}`)
  if (!Array.isArray(history) || history.length !== fsLayers.length)
    throw invalidManifest('"history" must be an array with one entry for each of "fsLayers"')
  for (const [i, entry] of history.entries()) checkHistory(entry, `history[${i}].v1Compatibility`)
  return fsLayers.map((layer: unknown, i) => {
    const digest = isObject(layer) && typeof layer.blobSum === 'string' ? parseDigest(layer.blobSum) : undefined
    if (!digest) throw new OciError('DIGEST_INVALID', `fsLayers[${i}].blobSum is not a digest`)
    return digest
  })
}

function checkHistory(entry: unknown, field: string): void {
  const text = isObject(entry) ? entry.v1Compatibility : undefined
  if (typeof text !== 'string') throw invalidManifest(`${field} must be a text`)
  if (jsonDepth(text) > v1DepthLimit) throw invalidManifest(`${field} nests deeper than ${v1DepthLimit} levels`)
  const image = parseObject(text)
  if (typeof image?.id !== 'string' || image.id === '')
    throw invalidManifest(`${field} must be the JSON of an image with an "id"`)
}

/**
 * Takes a signed schema 1 manifest apart; `body` is what its bytes say. A signed one is the payload with `signatures` put in
 * before its end: each signature's protected header says where (`formatLength`) and what came after (`formatTail`, base64url).
 * Nothing else may differ, or the document would say one thing and what is signed another. Throws MANIFEST_INVALID.
 */
export function unwrapSchema1(bytes: Uint8Array, body: Json): SignedSchema1 {
  const { signatures } = body
  if (!Array.isArray(signatures) || signatures.length === 0)
    throw invalidManifest('its type says that it is signed: it needs the array "signatures"')
  if (signatures.length > schema1SignatureLimit)
    throw invalidManifest(`it has ${signatures.length} signatures, more than ${schema1SignatureLimit}`)
  const read = signatures.map((one: unknown, i) => readSignature(one, `signatures[${i}]`))
  const [first, ...others] = read.map((one, i) => readFormat(one.protected, `signatures[${i}].protected`))
  if (!first || others.some(({ length, tail }) => length !== first.length || tail !== first.tail))
    throw invalidManifest('its signatures are not over the same payload')
  const { length, tail } = first
  if (length >= bytes.length || !/^\s*\}\s*$/.test(tail))
    throw invalidManifest('the format of its signatures does not fit it')
  checkAdded(new TextDecoder().decode(bytes.subarray(length)))
  const payload = new Uint8Array(length + tail.length)
  payload.set(bytes.subarray(0, length))
  payload.set(new TextEncoder().encode(tail), length)
  if (!parseObject(new TextDecoder().decode(payload))) throw invalidManifest('what its signatures are over is not JSON')
  return { payload, signatures: read }
}

/** What stands behind the payload must be its signatures and no other field. */
function checkAdded(text: string): void {
  const added = /^\s*,/.test(text) ? parseObject(text.replace(/^\s*,/, '{')) : undefined
  if (!added || Object.keys(added).join() !== 'signatures')
    throw invalidManifest('it has more than "signatures" beside what is signed')
}

function readSignature(value: unknown, field: string): Schema1Signature {
  if (!isObject(value) || !isObject(value.header)) throw invalidManifest(`${field} must have a "header"`)
  const { jwk, x5c, alg } = value.header
  if (typeof alg !== 'string') throw invalidManifest(`${field}.header.alg is missing`)
  const certificate: unknown = Array.isArray(x5c) ? x5c[0] : undefined
  if (!isObject(jwk) && typeof certificate !== 'string')
    throw invalidManifest(`${field}.header names no key: neither jwk nor x5c`)
  const { protected: covered, signature } = value
  if (typeof covered !== 'string' || typeof signature !== 'string')
    throw invalidManifest(`${field} must have "protected" and "signature"`)
  const key = isObject(jwk) ? { jwk } : { certificate: certificate as string }
  return { algorithm: alg, key, protected: covered, signature }
}

function readFormat(covered: string, field: string): { length: number; tail: string } {
  const text = decodeBase64url(covered)
  const format = text === undefined ? undefined : parseObject(text)
  const length = format?.formatLength
  const tail = typeof format?.formatTail === 'string' ? decodeBase64url(format.formatTail) : undefined
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 1 || tail === undefined)
    throw invalidManifest(`${field} must tell formatLength and formatTail`)
  return { length, tail }
}

/** The text, one character a byte; `undefined` for what is not base64url. */
function decodeBase64url(text: string): string | undefined {
  if (!/^[A-Za-z0-9_-]*={0,2}$/.test(text)) return undefined
  try {
    return atob(text.replace(/=+$/, '').replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    // A length that no bytes have.
    return undefined
  }
}

function parseObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    // What is no JSON is no object either; the caller says what it should have been.
    return undefined
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
