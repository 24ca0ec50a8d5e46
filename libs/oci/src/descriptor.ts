import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, hexOf, parseDigest } from './digest.ts'
import { isBlobType, isForeignLayer, isManifestType } from './media-types.ts'
import { invalidManifest, OciError } from './oci-error.ts'

export type Json = Record<string, unknown>
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
  /**
   * In an index: what its type does not tell. It is a blob (BuildKit's cache has such entries), unless there is none and a manifest
   * is there under this digest.
   */
  isUnsure?: true
}
export type Platform = { os: string; architecture: string; variant?: string }

/** Whether a field says nothing; writers in Go have null where an empty list is meant (docs/protocol.md#leniency). */
export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null
}

export function readDescriptors(value: unknown, field: string, role: ReferenceRole): Reference[] {
  if (isAbsent(value)) return []
  if (!Array.isArray(value)) throw invalidManifest(`"${field}" must be an array`)
  return value.map((item, i) => readDescriptor(item, `${field}[${i}]`, role))
}

/** Reads a descriptor (image-spec descriptor.md). What an index names that is no manifest by its type is a blob. */
export function readDescriptor(value: unknown, field: string, place: ReferenceRole): Reference {
  if (!isObject(value)) throw invalidManifest(`"${field}" must be a descriptor`)
  const digest = typeof value.digest === 'string' ? parseDigest(value.digest) : undefined
  if (!digest) throw new OciError('DIGEST_INVALID', `${field}.digest is not a sha256 or sha512 digest`)
  const { size, mediaType } = value
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw invalidManifest(`${field}.size must be a number of bytes`)
  if (typeof mediaType !== 'string' || mediaType === '') throw invalidManifest(`${field}.mediaType is missing`)
  checkShortText(mediaType, `${field}.mediaType`)
  checkData(value.data, { digest, size }, field)
  const isBlob = place === 'manifest' && !isManifestType(mediaType.toLowerCase())
  const role = isBlob ? 'layer' : place
  const platform = role === 'manifest' ? readPlatform(value.platform) : undefined
  for (const text of Object.values(platform ?? {})) checkShortText(text, `${field}.platform`)
  const about = role === 'manifest' ? readAbout(value.annotations) : undefined
  const urls = role === 'layer' && isForeignLayer(mediaType) ? readUrls(value.urls, `${field}.urls`) : []
  return {
    role,
    digest,
    mediaType,
    sizeBytes: size,
    // A layer of foreign type without URLs can be had where the manifest is, or nowhere.
    optional: role === 'subject' || urls.length > 0,
    ...(platform ? { platform } : {}),
    ...(about ? { about } : {}),
    ...(urls.length > 0 ? { urls } : {}),
    ...(isBlob && isUnsureEntry({ role, mediaType }) ? { isUnsure: true } : {}),
  }
}

/** Whether the type of what an index names tells neither that it is a manifest nor that it is a blob. */
export function isUnsureEntry({ role, mediaType }: Pick<Reference, 'role' | 'mediaType'>): boolean {
  return role !== 'subject' && !isManifestType(mediaType.toLowerCase()) && !isBlobType(mediaType)
}

/** What is embedded has to be what the digest is of (image-spec descriptor.md, "data"): clients take it without asking for it. */
function checkData(data: unknown, { digest, size }: { digest: Digest; size: number }, field: string): void {
  if (isAbsent(data)) return
  const bytes = typeof data === 'string' ? Buffer.from(data, 'base64') : undefined
  if (bytes?.length === size && createHash(algorithmOf(digest)).update(bytes).digest('hex') === hexOf(digest)) return
  throw invalidManifest(`${field}.data is not the base64 of what ${field}.digest and ${field}.size name; leave it out`)
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

/** Refuses what JSON can say and no database of text can keep: U+0000, and halves of surrogate pairs. */
export function checkText(text: string, field: string): void {
  if (text.includes('\0') || !text.isWellFormed())
    throw invalidManifest(`${field} holds U+0000 or half a surrogate pair; leave such characters out`)
}

// The two names of a media type have up to 127 characters each (RFC 6838 §4.2); no platform has a longer one.
const longestName = 255

/** As `checkText`, of what is kept beside each of up to ten thousand references: megabytes of it would be read with every list. */
export function checkShortText(text: string, field: string, longest = longestName): void {
  checkText(text, field)
  if (text.length > longest) throw invalidManifest(`${field} has ${text.length} characters, more than ${longest}`)
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
