import { type Digest, parseDigest } from './digest.ts'
import { isRepositoryName, isTag } from './names.ts'
import { OciError } from './oci-error.ts'

/** What a path under `/v2` or `/extensions/v2` names. */
export type Route =
  | { kind: 'ping' }
  | { kind: 'catalog' }
  | { kind: 'tags'; repository: string }
  | { kind: 'manifest'; repository: string; tag: string; digest?: undefined }
  | { kind: 'manifest'; repository: string; digest: Digest; tag?: undefined }
  | { kind: 'blob'; repository: string; digest: Digest }
  | { kind: 'uploads'; repository: string }
  | { kind: 'upload'; repository: string; session: string }
  | { kind: 'referrers'; repository: string; digest: Digest }
  | { kind: 'signatures'; repository: string; digest: Digest }

const extensions = '/extensions/v2/'
const uploadSession = /^[a-zA-Z0-9\-_.=]{1,128}$/

/**
 * Reads the path (no query) of a request under `/v2` or `/extensions/v2`; `undefined` when it names nothing we know.
 * Matches from the right end, because a repository may itself be called `foo/blobs` or `x/manifests/y`
 * (distribution-spec, "Endpoints"). Throws `OciError` NAME_INVALID, DIGEST_INVALID, TAG_INVALID on a part that breaks its grammar.
 */
export function parseRoute(path: string): Route | undefined {
  if (path === '/v2/' || path === '/v2') return { kind: 'ping' }
  if (path === '/v2/_catalog') return { kind: 'catalog' }
  if (path.startsWith(extensions)) return parseExtension(path.slice(extensions.length).split('/'))
  if (!path.startsWith('/v2/')) return undefined
  const segments = path.slice('/v2/'.length).split('/')
  const last = decode(segments.at(-1) ?? '')
  const before = segments.at(-2)
  const upload = parseUploads(segments, last)
  if (upload) return upload
  if (before === 'tags' && last === 'list') return { kind: 'tags', repository: nameOf(segments, 2) }
  if (before === 'manifests') return parseManifestRoute(nameOf(segments, 2), last)
  if (before === 'blobs') return { kind: 'blob', repository: nameOf(segments, 2), digest: digestOf(last) }
  if (before === 'referrers') return { kind: 'referrers', repository: nameOf(segments, 2), digest: digestOf(last) }
  return undefined
}

/** The signature extension that containers/image and OpenShift speak; it has a root of its own. */
function parseExtension(segments: string[]): Route | undefined {
  if (segments.at(-2) !== 'signatures') return undefined
  return { kind: 'signatures', repository: nameOf(segments, 2), digest: digestOf(decode(segments.at(-1) ?? '')) }
}

function parseUploads(segments: string[], last: string): Route | undefined {
  const n = segments.length
  // `…/blobs/uploads/` and, as a few scripts send it, `…/blobs/uploads`
  if (last === '' && segments[n - 2] === 'uploads' && segments[n - 3] === 'blobs')
    return { kind: 'uploads', repository: nameOf(segments, 3) }
  if (last === 'uploads' && segments[n - 2] === 'blobs') return { kind: 'uploads', repository: nameOf(segments, 2) }
  if (segments[n - 2] === 'uploads' && segments[n - 3] === 'blobs' && last !== '') {
    const repository = nameOf(segments, 3)
    if (!uploadSession.test(last)) throw new OciError('BLOB_UPLOAD_UNKNOWN', 'there is no such upload session')
    return { kind: 'upload', repository, session: last }
  }
  return undefined
}

function parseManifestRoute(repository: string, reference: string): Route {
  // With a colon it can only be a digest; a malformed one must never be looked up as a tag.
  if (reference.includes(':')) return { kind: 'manifest', repository, digest: digestOf(reference) }
  if (!isTag(reference)) throw new OciError('TAG_INVALID', `"${printable(reference)}" is not a tag`)
  return { kind: 'manifest', repository, tag: reference }
}

function nameOf(segments: string[], tail: number): string {
  const name = segments.slice(0, -tail).join('/')
  if (!isRepositoryName(name)) throw new OciError('NAME_INVALID', `"${printable(name)}" is not a repository name`)
  return name
}

function digestOf(text: string): Digest {
  const digest = parseDigest(text)
  if (!digest) throw new OciError('DIGEST_INVALID', `"${printable(text)}" is not a sha256 or sha512 digest`)
  return digest
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    // A broken escape is part of no name, tag or digest: the grammars refuse it.
    return segment
  }
}

/** At most 200 characters, all of them printable ASCII, so that hostile input reaches neither logs nor terminals. */
function printable(text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?')
}
