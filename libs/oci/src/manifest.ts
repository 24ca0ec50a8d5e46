import {
  checkShortText,
  checkText,
  isAbsent,
  isObject,
  type Json,
  type Reference,
  readDescriptor,
  readDescriptors,
} from './descriptor.ts'
import type { Digest } from './digest.ts'
import { duplicateKey, jsonDepth } from './json-scan.ts'
import { checkStructure, pushedType, typeOfBody } from './manifest-type.ts'
import { isIndexType, isSchema1Type, mediaTypes } from './media-types.ts'
import { invalidManifest, OciError } from './oci-error.ts'
import { readSchema1, type SignedSchema1, unwrapSchema1 } from './schema1.ts'

/** Largest manifest taken, in bytes (distribution-spec, "Pushing Manifests": at least 4 MiB). */
export const manifestLimitBytes = 4 << 20
/** Most descriptors one manifest may hold (docs/guarantees.md#bombs). */
export const referenceLimit = 10_000
/** Deepest nesting of JSON that a manifest may have (docs/guarantees.md#bombs). */
export const jsonDepthLimit = 32

/** What Berth keeps of a manifest beside its bytes. */
export type ParsedManifest = {
  /** What the bytes say that they are: the same wherever they came from. */
  mediaType: string
  isIndex: boolean
  artifactType?: string
  annotations: Record<string, string>
  references: Reference[]
  subject?: Digest
  /** Of a signed schema 1 manifest: what its digest is of, and its signatures, not verified. */
  signed?: SignedSchema1
}

/**
 * Reads and judges a manifest of any type, as an upstream or our own store gives it: its bytes say what it is, whatever stood
 * beside them. Throws `OciError` MANIFEST_INVALID with the fault, or DIGEST_INVALID for a descriptor whose digest is none.
 * Rules: image-spec manifest.md and image-index.md; a document that could be read two ways is refused (CVE-2021-41190).
 */
export function parseManifest(bytes: Uint8Array): ParsedManifest {
  const body = parseJson(bytes)
  return parseBody(bytes, body, typeOfBody(body))
}

/**
 * As `parseManifest`, of what a client pushes with a Content-Type, which may say what the bytes leave open. `pushedType` is that
 * type, where the bytes alone would be taken for another one. A type that is none of a manifest, or that contradicts them, is refused.
 */
export function parsePushed(
  bytes: Uint8Array,
  contentType: string | undefined,
): ParsedManifest & { pushedType?: string } {
  const body = parseJson(bytes)
  const said = pushedType(body, contentType)
  const parsed = parseBody(bytes, body, typeOfBody(body, said))
  if (said === undefined || said === parsed.mediaType) return parsed
  checkStructure(body, said)
  return { ...parsed, pushedType: said }
}

function parseBody(bytes: Uint8Array, body: Json, mediaType: string): ParsedManifest {
  if (isSchema1Type(mediaType)) return parseSchema1(body, mediaType, bytes)
  checkStructure(body, mediaType)
  return describe(body, mediaType)
}

function describe(body: Json, mediaType: string): ParsedManifest {
  const references = [
    ...(isAbsent(body.config) ? [] : [readDescriptor(body.config, 'config', 'config')]),
    ...readDescriptors(body.layers, 'layers', 'layer'),
    ...readDescriptors(body.blobs, 'blobs', 'layer'),
    ...readDescriptors(body.manifests, 'manifests', 'manifest'),
    ...(isAbsent(body.subject) ? [] : [readDescriptor(body.subject, 'subject', 'subject')]),
  ]
  if (references.length > referenceLimit)
    throw invalidManifest(`it has ${references.length} descriptors, more than ${referenceLimit}`)
  const config = references.find((reference) => reference.role === 'config')
  // referrers name a manifest by its config's type when it has no artifactType (distribution-spec, "Listing Referrers")
  const artifactType = typeof body.artifactType === 'string' ? body.artifactType : config?.mediaType
  if (artifactType !== undefined) checkShortText(artifactType, 'artifactType')
  const subject = references.find((reference) => reference.role === 'subject')?.digest
  return {
    mediaType,
    isIndex: isIndexType(mediaType),
    annotations: readAnnotations(body.annotations),
    references,
    ...(artifactType ? { artifactType } : {}),
    ...(subject ? { subject } : {}),
  }
}

function parseJson(bytes: Uint8Array): Json {
  if (bytes.length > manifestLimitBytes) {
    throw new OciError('MANIFEST_INVALID', `the manifest is ${bytes.length} bytes, more than ${manifestLimitBytes}`, {
      status: 413,
    })
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new OciError('MANIFEST_INVALID', 'the manifest is not UTF-8', { cause })
  }
  // Before JSON.parse, whose recursion a hostile document would otherwise drive.
  if (jsonDepth(text) > jsonDepthLimit) throw invalidManifest(`it nests deeper than ${jsonDepthLimit} levels`)
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (cause) {
    throw new OciError('MANIFEST_INVALID', 'the manifest is not JSON', { cause })
  }
  if (!isObject(body)) throw invalidManifest('it is not a JSON object')
  // Parsers differ in which of two equal keys they take, so such a document could be read two ways.
  const twice = duplicateKey(text)
  if (twice !== undefined) throw invalidManifest(`an object has the key ${JSON.stringify(twice.slice(0, 100))} twice`)
  return body
}

function parseSchema1(body: Json, mediaType: string, bytes: Uint8Array): ParsedManifest {
  const isSigned = mediaType === mediaTypes.dockerSchema1Signed
  if (!isSigned && body.signatures !== undefined)
    throw invalidManifest(`it has signatures, so its type is ${mediaTypes.dockerSchema1Signed}`)
  const references = readSchema1(body).map((digest): Reference => {
    return { role: 'layer', digest, mediaType: 'application/octet-stream', sizeBytes: 0, optional: false }
  })
  const signed = isSigned ? unwrapSchema1(bytes, body) : undefined
  return { mediaType, isIndex: false, annotations: {}, references, ...(signed ? { signed } : {}) }
}

function readAnnotations(value: unknown): Record<string, string> {
  if (isAbsent(value)) return {}
  if (!isObject(value)) throw invalidManifest('"annotations" must be an object of strings')
  const entries = Object.entries(value).map(([key, text]) => {
    if (typeof text !== 'string') throw invalidManifest(`annotations[${JSON.stringify(key)}] must be a string`)
    for (const each of [key, text]) checkText(each, 'annotations')
    return [key, text] as const
  })
  return Object.fromEntries(entries)
}
