import { type Digest, parseDigest } from './digest.ts'
import { duplicateKey, jsonDepth } from './json-scan.ts'
import { isForeignLayer, isIndexType, isManifestType, isSchema1Type, mediaTypes } from './media-types.ts'
import { invalidManifest, OciError } from './oci-error.ts'
import { readSchema1, type SignedSchema1, unwrapSchema1 } from './schema1.ts'

/** Largest manifest taken, in bytes (distribution-spec, "Pushing Manifests": at least 4 MiB). */
export const manifestLimitBytes = 4 << 20
/** Most descriptors one manifest may hold (docs/guarantees.md#bombs). */
export const referenceLimit = 1_000
/** Deepest nesting of JSON that a manifest may have (docs/guarantees.md#bombs). */
export const jsonDepthLimit = 32

type ReferenceRole = 'config' | 'layer' | 'manifest' | 'subject'

/** One thing a manifest points to. `optional` when the manifest is whole without it: a subject, or a layer that lies elsewhere. */
export type Reference = {
  role: ReferenceRole
  digest: Digest
  mediaType: string
  sizeBytes: number
  optional: boolean
  platform?: Platform
  /** In an index: the manifest that this one says something about, as BuildKit marks its attestations. */
  about?: Digest
  /** Where the bytes of a foreign layer can be had. */
  urls?: string[]
}
export type Platform = { os: string; architecture: string; variant?: string }

/** What Berth keeps of a manifest beside its bytes. */
export type ParsedManifest = {
  mediaType: string
  isIndex: boolean
  artifactType?: string
  annotations: Record<string, string>
  references: Reference[]
  subject?: Digest
  /** Of a signed schema 1 manifest: what its digest is of, and its signatures, not verified. */
  signed?: SignedSchema1
}

type Json = Record<string, unknown>

/**
 * Who says of what type a manifest is: a client that pushes it, an upstream that gives it, or the row beside its bytes. The type
 * becomes a header on our own origin, so only types of manifests are taken from the first two.
 */
export type ManifestOrigin = 'push' | 'upstream' | 'stored'

/**
 * Reads and judges a manifest of any type. `contentType` is what `origin` says that it is; an upstream that says nonsense is
 * not heeded, a client that does is refused.
 * Throws `OciError` MANIFEST_INVALID with the fault, or DIGEST_INVALID for a descriptor whose digest is none.
 * Rules: image-spec manifest.md and image-index.md; a document that could be read two ways is refused (CVE-2021-41190).
 */
export function parseManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  origin: ManifestOrigin,
): ParsedManifest {
  if (bytes.length > manifestLimitBytes) {
    throw new OciError('MANIFEST_INVALID', `the manifest is ${bytes.length} bytes, more than ${manifestLimitBytes}`, {
      status: 413,
    })
  }
  const body = parseJson(bytes)
  const mediaType = mediaTypeOf(body, contentType, origin)
  if (isSchema1Type(mediaType)) return parseSchema1(body, mediaType, bytes)
  if (body.schemaVersion !== 2)
    throw invalidManifest(`schemaVersion must be 2, not ${JSON.stringify(body.schemaVersion)}`)
  if (body.manifests !== undefined && (body.layers !== undefined || body.config !== undefined)) {
    throw invalidManifest('a manifest has either "manifests" or "layers" and "config", never both')
  }
  const isIndex = isIndexType(mediaType)
  if (isIndex && !Array.isArray(body.manifests)) throw invalidManifest('an index needs the array "manifests"')
  if (!isIndex && body.manifests !== undefined) throw invalidManifest(`"manifests" does not belong into ${mediaType}`)
  if (mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest) {
    if (!Array.isArray(body.layers)) throw invalidManifest('an image manifest needs the array "layers"')
    if (!isObject(body.config)) throw invalidManifest('an image manifest needs the descriptor "config"')
  }
  return describe(body, mediaType, isIndex)
}

function describe(body: Json, mediaType: string, isIndex: boolean): ParsedManifest {
  const references = [
    ...(body.config === undefined ? [] : [readDescriptor(body.config, 'config', 'config')]),
    ...readDescriptors(body.layers, 'layers', 'layer'),
    ...readDescriptors(body.blobs, 'blobs', 'layer'),
    ...readDescriptors(body.manifests, 'manifests', 'manifest'),
    ...(body.subject === undefined ? [] : [readDescriptor(body.subject, 'subject', 'subject')]),
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
    isIndex,
    annotations: readAnnotations(body.annotations),
    references,
    ...(artifactType ? { artifactType } : {}),
    ...(subject ? { subject } : {}),
  }
}

function parseJson(bytes: Uint8Array): Json {
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

// Clients that know nothing better, and curl, send these; the body then speaks for itself.
const vague = new Set(['', 'application/json', 'application/octet-stream', 'application/x-www-form-urlencoded'])

function mediaTypeOf(body: Json, contentType: string | undefined, origin: ManifestOrigin): string {
  const header = contentType?.split(';')[0]?.trim().toLowerCase() ?? ''
  const own = typedBy(typeof body.mediaType === 'string' ? body.mediaType : '', '"mediaType"', origin)
  const said = vague.has(header) ? undefined : typedBy(header, 'Content-Type', origin)
  if (own && said && own !== said) throw invalidManifest(`Content-Type says ${said} and "mediaType" says ${own}`)
  const mediaType = said ?? own
  if (mediaType) return mediaType
  if (body.schemaVersion === 1) return body.signatures ? mediaTypes.dockerSchema1Signed : mediaTypes.dockerSchema1
  if (Array.isArray(body.manifests)) return mediaTypes.ociIndex
  if (Array.isArray(body.layers) || body.config !== undefined) return mediaTypes.ociManifest
  throw invalidManifest('it names no media type, neither in Content-Type nor in "mediaType"')
}

/** The type as a client or an upstream says it, if that can be one of a manifest. */
function typedBy(type: string, field: string, origin: ManifestOrigin): string | undefined {
  if (type === '' || isManifestType(type)) return type || undefined
  // What was stored before this was looked at keeps its type; it is not served as that.
  if (origin === 'stored') return type
  if (origin === 'upstream') return undefined
  throw invalidManifest(`${field} says ${JSON.stringify(type.slice(0, 100))}, which is no type of a manifest`)
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

function readDescriptors(value: unknown, field: string, role: ReferenceRole): Reference[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw invalidManifest(`"${field}" must be an array`)
  return value.map((item, i) => readDescriptor(item, `${field}[${i}]`, role))
}

function readDescriptor(value: unknown, field: string, role: ReferenceRole): Reference {
  if (!isObject(value)) throw invalidManifest(`"${field}" must be a descriptor`)
  const digest = typeof value.digest === 'string' ? parseDigest(value.digest) : undefined
  if (!digest) throw new OciError('DIGEST_INVALID', `${field}.digest is not a sha256 or sha512 digest`)
  const { size, mediaType } = value
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw invalidManifest(`${field}.size must be a number of bytes`)
  if (typeof mediaType !== 'string' || mediaType === '') throw invalidManifest(`${field}.mediaType is missing`)
  checkShortText(mediaType, `${field}.mediaType`)
  const optional = role === 'subject' || (role === 'layer' && isForeignLayer(mediaType))
  const platform = role === 'manifest' ? readPlatform(value.platform) : undefined
  for (const text of Object.values(platform ?? {})) checkShortText(text, `${field}.platform`)
  const about = role === 'manifest' ? readAbout(value.annotations) : undefined
  const urls = role === 'layer' && optional ? readUrls(value.urls, `${field}.urls`) : []
  return {
    role,
    digest,
    mediaType,
    sizeBytes: size,
    optional,
    ...(platform ? { platform } : {}),
    ...(about ? { about } : {}),
    ...(urls.length > 0 ? { urls } : {}),
  }
}

// Real ones have one or two, of some hundred characters.
const mostUrls = 100
const longestUrl = 2_048

function readUrls(value: unknown, field: string): string[] {
  const urls = Array.isArray(value) ? value.filter(isText) : []
  if (urls.length > mostUrls) throw invalidManifest(`${field} has ${urls.length} entries, more than ${mostUrls}`)
  for (const url of urls) checkShortText(url, field, longestUrl)
  return urls
}

function readPlatform(value: unknown): Platform | undefined {
  if (!isObject(value) || typeof value.os !== 'string' || typeof value.architecture !== 'string') return undefined
  const { os, architecture, variant } = value
  return { os, architecture, ...(typeof variant === 'string' ? { variant } : {}) }
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

/** https://docs.docker.com/build/metadata/attestations/attestation-storage/, "Attestation manifest descriptor" */
function readAbout(annotations: unknown): Digest | undefined {
  const about = isObject(annotations) ? annotations['vnd.docker.reference.digest'] : undefined
  return typeof about === 'string' ? parseDigest(about) : undefined
}

function readAnnotations(value: unknown): Record<string, string> {
  if (value === undefined || value === null) return {}
  if (!isObject(value)) throw invalidManifest('"annotations" must be an object of strings')
  const entries = Object.entries(value).map(([key, text]) => {
    if (typeof text !== 'string') throw invalidManifest(`annotations[${JSON.stringify(key)}] must be a string`)
    for (const each of [key, text]) checkText(each, 'annotations')
    return [key, text] as const
  })
  return Object.fromEntries(entries)
}

/** Refuses what JSON can say and no database of text can keep: U+0000, and halves of surrogate pairs. */
function checkText(text: string, field: string): void {
  if (text.includes('\0') || !text.isWellFormed())
    throw invalidManifest(`${field} holds U+0000 or half a surrogate pair; leave such characters out`)
}

// The two names of a media type have up to 127 characters each (RFC 6838 §4.2); no platform has a longer one.
const longestName = 255

/** As `checkText`, of what is kept beside each of up to ten thousand references: megabytes of it would be read with every list. */
function checkShortText(text: string, field: string, longest = longestName): void {
  checkText(text, field)
  if (text.length > longest) throw invalidManifest(`${field} has ${text.length} characters, more than ${longest}`)
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
