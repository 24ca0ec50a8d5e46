import { createHash } from 'node:crypto'
import {
  algorithmOf,
  asDigest,
  type Digest,
  manifestLimitBytes,
  manifestMediaTypes,
  mediaTypes,
  OciError,
  parseDigest,
  parseManifest,
} from '@berth/oci'
import { readBlob, type WantedBlob } from './blob.ts'
import { type Answer, createEgress, discard, type Timeouts, type TlsOptions } from './egress.ts'
import { askForeign } from './foreign.ts'
import { createLimiter } from './limiter.ts'
import { listNames, namesPerPage, readNamePage } from './name-pages.ts'
import { readBytes } from './read-text.ts'
import { listReferrers, type Referrer, readReferrerPage } from './referrers.ts'
import { retryAfterSeconds, retrying } from './retry.ts'
import type { Send } from './send.ts'
import { parseChallenge } from './tokens/challenge.ts'
import type { Credentials } from './tokens/credentials.ts'
import { sharedTokens, type TokenCache } from './tokens/token-cache.ts'
import { createTokenSource } from './tokens/token-source.ts'
import { statusError, UpstreamError } from './upstream-error.ts'

export type RegistryClientOptions = {
  /** `https://host[:port]`, as `normalizeRegistryUrl` makes it. */
  url: string
  credentials?: Credentials | undefined
  tls?: TlsOptions | undefined
  /** Requests under way at once. */
  concurrency?: number | undefined
  timeouts?: Partial<Timeouts> | undefined
  /** How often a request is tried again. */
  retries?: number | undefined
  allowPrivateAddresses?: boolean | undefined
  /** Hosts beside the registry's own whose issuer may get the credentials: `host` or `host:port`. */
  tokenHosts?: readonly string[] | undefined
  /** Where tokens are kept: shared by all clients of the process if nothing is said. */
  tokens?: TokenCache | undefined
}

export type Resolved = { digest: Digest; mediaType: string; sizeBytes: number }
export type FetchedManifest = { bytes: Buffer; mediaType: string; digest: Digest }

/** A client of one upstream registry. Everything it gives has been verified. Errors are `UpstreamError`. */
export type RegistryClient = {
  ping(signal?: AbortSignal): Promise<void>
  /** What a tag or digest stands for now; `undefined` when there is none. */
  resolve(repository: string, reference: string, signal?: AbortSignal): Promise<Resolved | undefined>
  manifest(repository: string, reference: string, signal?: AbortSignal): Promise<FetchedManifest>
  /** The bytes of a blob; goes on where it was after a cut. Its digest is for whoever stores it to verify. */
  blob(repository: string, blob: WantedBlob, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** All tags, a page at a time. */
  tags(repository: string, signal?: AbortSignal): AsyncIterable<string[]>
  /** What refers to a digest; `undefined` when the upstream has no such API, and the tag of the fallback schema is to be asked. */
  referrers(repository: string, digest: Digest, signal?: AbortSignal): Promise<Referrer[] | undefined>
  /** All repositories of the registry, a page at a time. */
  catalog(signal?: AbortSignal): AsyncIterable<string[]>
  /** The bytes of a layer that a manifest only points to, from there, without credentials. As `blob` otherwise. */
  foreign(url: string, blob: WantedBlob, signal?: AbortSignal): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

const defaultTimeouts: Timeouts = { connectMs: 10_000, headersMs: 30_000, idleMs: 30_000 }
const accept = manifestMediaTypes.join(', ')

export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  const origin = new URL(options.url)
  const { retries = 5, concurrency = 8 } = options
  const egress = createEgress({
    allowPrivateAddresses: options.allowPrivateAddresses ?? false,
    tls: options.tls ?? {},
    timeouts: { ...defaultTimeouts, ...options.timeouts },
    connections: concurrency,
  })
  const tokens = createTokenSource({
    cache: options.tokens ?? sharedTokens,
    egress,
    origin,
    credentials: options.credentials,
    tokenHosts: options.tokenHosts ?? [],
    identity: options.tls,
  })
  const limit = createLimiter(concurrency)

  const send: Send = async ({ method, path, repository, headers = {}, absent = false, signal, ...more }) => {
    const scope = more.scope ?? (repository === undefined ? '' : `repository:${repository}:pull`)
    const absences = absent === true ? [404] : absent || []
    const url = new URL(path, origin)
    const what = `${method} ${url.pathname}`
    let authorization = await tokens.known(scope, signal)
    for (let logins = 0; ; logins++) {
      const answer = await egress.send({
        method,
        url,
        headers: { ...headers, ...(authorization ? { authorization } : {}) },
        signal,
      })
      if (answer.status < 300 || absences.includes(answer.status)) return answer
      discard(answer)
      // Whoever we were redirected to has no say in how we log in.
      const isOwn = answer.status === 401 && answer.url.origin === origin.origin
      if (isOwn && logins > 0) tokens.forget({ scope, authorization })
      const challenge = isOwn ? parseChallenge(answer.headers['www-authenticate'] ?? '') : undefined
      if (challenge && logins === 0) {
        authorization = await tokens.answer(challenge, { scope, authorization }, signal)
        continue
      }
      throw statusError(origin.host, what, answer.status, retryAfterSeconds(answer.headers['retry-after']))
    }
  }
  const tried = <T>(signal: AbortSignal | undefined, work: () => Promise<T>) =>
    retrying(retries, signal, () => limit(work))

  return {
    ping: async (signal) => {
      const answer = await tried(signal, () => send({ method: 'GET', path: '/v2/', signal }))
      discard(answer)
    },
    resolve: (repository, reference, signal) => tried(signal, () => resolve(send, { repository, reference, signal })),
    manifest: (repository, reference, signal) =>
      tried(signal, () => fetchManifest(send, { repository, reference, signal })),
    blob: (repository, blob, signal) => {
      const path = `/v2/${repository}/blobs/${blob.digest}`
      return readBlob((headers) => send({ method: 'GET', path, repository, headers, signal }), blob, {
        limit,
        retries,
        signal,
      })
    },
    tags: (repository, signal) => {
      const what = `the tags of ${repository}`
      return listNames({ first: `/v2/${repository}/tags/list?n=${namesPerPage}`, what }, (path) =>
        tried(signal, () => readNamePage(send, { path, field: 'tags', repository, what, signal })),
      )
    },
    referrers: (repository, digest, signal) =>
      listReferrers({ repository, digest }, (path) =>
        tried(signal, () => readReferrerPage(send, { repository, digest, path, signal })),
      ),
    catalog: (signal) => {
      const what = 'its repositories'
      return listNames({ first: `/v2/_catalog?n=${namesPerPage}`, what }, (path) =>
        tried(signal, () =>
          readNamePage(send, { path, field: 'repositories', scope: 'registry:catalog:*', what, signal }),
        ),
      )
    },
    foreign: (url, blob, signal) => {
      const insecure = origin.protocol === 'http:' || options.tls?.verify === false
      return readBlob((headers) => askForeign(egress, url, { insecure, signal })(headers), blob, {
        limit,
        retries,
        signal,
      })
    },
    close: () => egress.close(),
  }
}

type Wanted = { repository: string; reference: string; signal: AbortSignal | undefined }

function manifestPath({ repository, reference }: Wanted): string {
  return `/v2/${repository}/manifests/${reference}`
}

/** Asks by HEAD, which costs an upstream little and does not count as a pull; by GET where HEAD does not say enough. */
async function resolve(send: Send, wanted: Wanted): Promise<Resolved | undefined> {
  const { repository, signal } = wanted
  let answer: Answer
  try {
    answer = await send({
      method: 'HEAD',
      path: manifestPath(wanted),
      repository,
      headers: { accept },
      absent: true,
      signal,
    })
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.status !== 405) throw error
    return fullResolve(send, wanted)
  }
  discard(answer)
  if (answer.status === 404) return undefined
  const digest = parseDigest(answer.headers['docker-content-digest'] ?? '')
  const mediaType = answer.headers['content-type']?.split(';')[0]?.trim()
  const sizeBytes = Number(answer.headers['content-length'])
  return digest && mediaType && Number.isSafeInteger(sizeBytes)
    ? { digest, mediaType, sizeBytes }
    : fullResolve(send, wanted)
}

async function fullResolve(send: Send, wanted: Wanted): Promise<Resolved | undefined> {
  const found = await fetchManifest(send, wanted, true)
  return found && { digest: found.digest, mediaType: found.mediaType, sizeBytes: found.bytes.length }
}

async function fetchManifest(send: Send, wanted: Wanted): Promise<FetchedManifest>
async function fetchManifest(send: Send, wanted: Wanted, absent: true): Promise<FetchedManifest | undefined>
async function fetchManifest(send: Send, wanted: Wanted, absent = false): Promise<FetchedManifest | undefined> {
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
  const mediaType = answer.headers['content-type']?.split(';')[0]?.trim() ?? 'application/octet-stream'
  const payload = mediaType === mediaTypes.dockerSchema1Signed ? payloadOf(bytes, host, wanted) : bytes
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
  return { bytes, digest, mediaType }
}

/** What the digest of a signed schema 1 manifest is of. */
function payloadOf(bytes: Buffer, host: string, { repository, reference }: Wanted): Uint8Array {
  try {
    return parseManifest(bytes, mediaTypes.dockerSchema1Signed).signed?.payload ?? bytes
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
