import { createHash } from 'node:crypto'
import { algorithmOf, asDigest, type Digest, manifestLimitBytes, manifestMediaTypes, parseDigest } from '@berth/oci'
import { readBlob } from './blob.ts'
import { parseChallenge } from './challenge.ts'
import { type Answer, createEgress, type Timeouts, type TlsOptions } from './egress.ts'
import { createLimiter } from './limiter.ts'
import { retryAfterSeconds, retrying } from './retry.ts'
import type { Send } from './send.ts'
import { type Credentials, createTokenSource } from './token-source.ts'
import { connectionError, statusError, UpstreamError } from './upstream-error.ts'

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
  blob(repository: string, blob: { digest: Digest; sizeBytes: number }, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** All tags, a page at a time. */
  tags(repository: string, signal?: AbortSignal): AsyncIterable<string[]>
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
  const tokens = createTokenSource({ egress, origin, credentials: options.credentials })
  const limit = createLimiter(concurrency)

  const send: Send = async ({ method, path, repository, headers = {}, absent = false, signal }) => {
    const scope = repository === undefined ? '' : `repository:${repository}:pull`
    const url = new URL(path, origin)
    const what = `${method} ${url.pathname}`
    let authorization = tokens.known(scope)
    for (let logins = 0; ; logins++) {
      const answer = await egress.send({
        method,
        url,
        headers: { ...headers, ...(authorization ? { authorization } : {}) },
        signal,
      })
      if (answer.status < 300 || (absent && answer.status === 404)) return answer
      answer.body.on('error', () => answer.body.destroy()).resume()
      const challenge = answer.status === 401 ? parseChallenge(answer.headers['www-authenticate'] ?? '') : undefined
      if (challenge && logins === 0) {
        authorization = await tokens.answer(challenge, scope, signal)
        continue
      }
      throw statusError(origin.host, what, answer.status, retryAfterSeconds(answer.headers['retry-after']))
    }
  }
  const limited: Send = (request) => retrying(retries, request.signal, () => limit(() => send(request)))

  return {
    ping: async (signal) => {
      const answer = await limited({ method: 'GET', path: '/v2/', signal })
      answer.body.resume()
    },
    resolve: (repository, reference, signal) => resolve(limited, { repository, reference, signal }),
    manifest: (repository, reference, signal) =>
      retrying(retries, signal, () => limit(() => fetchManifest(send, { repository, reference, signal }))),
    blob: (repository, blob, signal) => readBlob(send, limit, { repository, blob, retries, signal }),
    tags: (repository, signal) => listTags(limited, repository, signal),
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
  answer.body.resume()
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
    answer.body.resume()
    return undefined
  }
  const bytes = await readLimited(answer, `manifest ${reference} of ${repository}`)
  const wantedDigest = parseDigest(reference)
  const algorithm = wantedDigest ? algorithmOf(wantedDigest) : 'sha256'
  const digest = asDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`)
  const said = wantedDigest ?? parseDigest(answer.headers['docker-content-digest'] ?? '')
  if (said && algorithmOf(said) === algorithm && said !== digest) {
    throw new UpstreamError(
      'bad_digest',
      `${host} gave other bytes than ${said} for manifest ${reference} of ${repository}`,
      { host },
    )
  }
  return {
    bytes,
    digest,
    mediaType: answer.headers['content-type']?.split(';')[0]?.trim() ?? 'application/octet-stream',
  }
}

async function readLimited(answer: Answer, what: string): Promise<Buffer> {
  const { host } = answer.url
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > manifestLimitBytes)
        throw new UpstreamError('protocol', `${host} gave more than ${manifestLimitBytes} bytes for ${what}`, { host })
      chunks.push(chunk)
    }
  } catch (error) {
    throw connectionError(host, what, error)
  }
  const announced = answer.headers['content-length']
  if (announced !== undefined && Number(announced) !== size)
    throw new UpstreamError('short_body', `${host} gave ${size} of ${announced} bytes for ${what}`, { host })
  return Buffer.concat(chunks)
}

const tagsPerPage = 1_000
const listLimitBytes = 64 << 20

async function* listTags(send: Send, repository: string, signal: AbortSignal | undefined): AsyncIterable<string[]> {
  let path: string | undefined = `/v2/${repository}/tags/list?n=${tagsPerPage}`
  const seen = new Set<string>()
  while (path !== undefined && !seen.has(path)) {
    seen.add(path)
    const answer = await send({ method: 'GET', path, repository, headers: { accept: 'application/json' }, signal })
    const { host } = answer.url
    const text = await readText(answer)
    const tags = readTags(text)
    if (!tags)
      throw new UpstreamError('protocol', `${host} answered something that is no tag list for ${repository}`, { host })
    if (tags.length > 0) yield tags
    path = nextPath(answer.headers.link, answer.url)
  }
}

async function readText(answer: Answer): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > listLimitBytes)
      throw new UpstreamError('protocol', `${answer.url.host} gave a list without end`, { host: answer.url.host })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function readTags(text: string): string[] | undefined {
  try {
    const { tags } = JSON.parse(text) as { tags?: unknown }
    if (tags === null) return []
    return Array.isArray(tags) && tags.every((tag) => typeof tag === 'string') ? tags : undefined
  } catch {
    // the caller says what is wrong: it knows the host
    return undefined
  }
}

/** The next page of a list: only on the same origin, whatever the link says. */
function nextPath(link: string | undefined, current: URL): string | undefined {
  const target = /<([^>]+)>\s*;\s*rel="?next"?/.exec(link ?? '')?.[1]
  if (target === undefined || !URL.canParse(target, current)) return undefined
  const url = new URL(target, current)
  return url.pathname + url.search
}
