import { createHash } from 'node:crypto'
import {
  algorithmOf,
  asDigest,
  type Digest,
  manifestLimitBytes,
  manifestMediaTypes,
  OciError,
  parseDigest,
  parseManifest,
} from '@berth/oci'
import { type Answer, discard } from './egress/egress.ts'
import { readBytes } from './egress/read-text.ts'
import { UpstreamError } from './egress/upstream-error.ts'
import type { Send } from './send.ts'

/** A manifest as upstream gives it. What it is, its bytes say: registries serve them as `text/plain` and worse. */
export type FetchedManifest = { bytes: Buffer; digest: Digest }

const accept = manifestMediaTypes.join(', ')

type Wanted = { repository: string; reference: string; signal: AbortSignal | undefined }

function manifestPath({ repository, reference }: Wanted): string {
  return `/v2/${repository}/manifests/${reference}`
}

/**
 * Asks by HEAD, which costs an upstream little and does not count as a pull; by GET where HEAD names no digest. What is `known`
 * goes along as a condition (RFC 9110 §13.1.2): registries whose entity tags are digests need not read a manifest to say that
 * it stayed.
 */
export async function resolve(send: Send, wanted: Wanted, known?: Digest): Promise<Digest | undefined> {
  const { repository, signal } = wanted
  let answer: Answer
  try {
    answer = await send({
      method: 'HEAD',
      path: manifestPath(wanted),
      repository,
      headers: { accept, ...(known ? { 'if-none-match': `"${known}"` } : {}) },
      absent: known ? [404, 304] : true,
      signal,
    })
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.status !== 405) throw error
    return resolveByGet(send, wanted)
  }
  discard(answer)
  if (answer.status === 304) return known
  if (answer.status === 404) return undefined
  // What is asked by digest is that or nothing: some registries name it in another algorithm, and the bytes show a registry that lies.
  const asked = parseDigest(wanted.reference)
  if (asked) return asked
  return parseDigest(answer.headers['docker-content-digest'] ?? '') ?? resolveByGet(send, wanted)
}

/** As `resolve`, by GET alone. */
export async function resolveByGet(send: Send, wanted: Wanted): Promise<Digest | undefined> {
  return (await fetchManifest(send, wanted, true))?.digest
}

/** Fetches a manifest and verifies it. Throws `UpstreamError`, also when it is not there and that was not said to be fine. */
export async function fetchManifest(send: Send, wanted: Wanted): Promise<FetchedManifest>
export async function fetchManifest(send: Send, wanted: Wanted, absent: true): Promise<FetchedManifest | undefined>
export async function fetchManifest(send: Send, wanted: Wanted, absent = false): Promise<FetchedManifest | undefined> {
  const { repository, reference, signal } = wanted
  const answer = await send({
    method: 'GET',
    path: manifestPath(wanted),
    repository,
    headers: { accept },
    absent,
    signal,
  })
  const { host } = answer.url
  if (answer.status === 404) {
    discard(answer)
    return undefined
  }
  const bytes = await readLimited(answer, `manifest ${reference} of ${repository}`)
  const payload = bytes.includes('"signatures"') ? payloadOf(bytes, host, wanted) : bytes
  const wantedDigest = parseDigest(reference)
  const algorithm = wantedDigest ? algorithmOf(wantedDigest) : 'sha256'
  const digest = asDigest(`${algorithm}:${createHash(algorithm).update(payload).digest('hex')}`)
  const said = wantedDigest ?? parseDigest(answer.headers['docker-content-digest'] ?? '')
  if (said && algorithmOf(said) === algorithm && said !== digest) {
    throw new UpstreamError(
      'bad_digest',
      `${host} gave other bytes than ${said} for manifest ${reference} of ${repository}`,
      { host },
    )
  }
  return { bytes, digest }
}

/** What the digest of a manifest is of: of a signed schema 1 manifest that is a part of it. */
function payloadOf(bytes: Buffer, host: string, { repository, reference }: Wanted): Uint8Array {
  try {
    return parseManifest(bytes).signed?.payload ?? bytes
  } catch (cause) {
    if (!(cause instanceof OciError)) throw cause
    throw new UpstreamError(
      'protocol',
      `${host} has a manifest ${reference} in ${repository} that cannot be taken: ${cause.message}`,
      { host, cause },
    )
  }
}

async function readLimited(answer: Answer, what: string): Promise<Buffer> {
  const { host } = answer.url
  const bytes = await readBytes(answer, manifestLimitBytes, what)
  const size = bytes.length
  const announced = answer.headers['content-length']
  if (announced !== undefined && Number(announced) !== size)
    throw new UpstreamError('short_body', `${host} gave ${size} of ${announced} bytes for ${what}`, { host })
  return bytes
}
