import { createHash } from 'node:crypto'
import type { Digest } from '@berth/oci'
import pLimit from 'p-limit'
import { readBlob, type WantedBlob } from './blob.ts'
import { type AddressRule, createAddressRule } from './egress/address-rules.ts'
import type { ProxyOptions, Timeouts, TlsOptions } from './egress/agents.ts'
import type { Credentials } from './egress/credentials.ts'
import { createEgress, discard, type UpstreamAnswer } from './egress/egress.ts'
import { readLimitNotice, retryAfterSeconds } from './egress/limit-notice.ts'
import { statusError, UpstreamError } from './egress/upstream-error.ts'
import { askForeign, readForeignFile } from './foreign.ts'
import { type FetchedManifest, fetchManifest, resolve, resolveByGet } from './manifests.ts'
import { listNames, type OnOpenEnd, readNamePage } from './name-pages.ts'
import { type Caller, type HostGates, type Pause, sharedGates } from './rate-limits/host-gates.ts'
import { limitedEgress } from './rate-limits/limited-egress.ts'
import { type Patience, retrying } from './rate-limits/retry.ts'
import { listReferrers, type Referrer, readReferrerPage } from './referrers.ts'
import type { Send } from './send.ts'
import { type AtomicSignature, announcesSignatures, readSignatures } from './signatures.ts'
import { parseChallenges } from './tokens/challenge.ts'
import { sharedTokens, type TokenCache } from './tokens/token-cache.ts'
import { createTokenSource } from './tokens/token-source.ts'

export type RegistryClientOptions = {
  /** `https://host[:port]`, as `normalizeRegistryUrl` makes it. */
  url: string
  credentials?: Credentials | undefined
  tls?: TlsOptions | undefined
  /** Requests under way at once. */
  concurrency?: number | undefined
  timeouts?: Partial<Timeouts> | undefined
  /** Requests a second to the registry's host, together with all other clients that are told so. Default no limit. */
  ratePerSecond?: number | undefined
  /** How often a request is tried again. */
  retries?: number | undefined
  /** How long to wait at most for an upstream that names its own pause. Default 2 minutes. */
  longestPauseMs?: number | undefined
  /** Hears that requests to a host wait, when that begins and from each request that waits. */
  onPause?: ((pause: Pause) => void) | undefined
  /** Hears why a request is tried again. */
  onRetry?: ((error: UpstreamError) => void) | undefined
  /** Hears what every request was answered with, those to where the registry points to among them. */
  onAnswer?: ((answer: UpstreamAnswer) => void) | undefined
  /** Whether the hosts named here (of `url`, the proxy, `tokenHosts` and `redirectHosts`) may be at private addresses. */
  allowPrivateAddresses?: boolean | undefined
  /** Further hosts that the registry may point to, `host` or `host:port`. */
  redirectHosts?: readonly string[] | undefined
  /** What may be connected to, if it is not what the fields above say. */
  addressRule?: AddressRule | undefined
  /** All requests go through it; names are looked up there. */
  proxy?: ProxyOptions | undefined
  /** Headers for the registry's own origin. */
  headers?: Record<string, string> | undefined
  /** Hosts beside the registry's own whose issuer may get the credentials: `host` or `host:port`. */
  tokenHosts?: readonly string[] | undefined
  /** Where tokens are kept: shared by all clients of the process if nothing is said. */
  tokens?: TokenCache | undefined
  /** Whether this client sends a few small requests only, such as those of a check. */
  isRare?: boolean | undefined
  /** What clients know of the limits of hosts: shared by all of the process if nothing is said. */
  gates?: HostGates | undefined
}

/** A client of one upstream registry. Everything it gives has been verified. Errors are `UpstreamError`. */
export type RegistryClient = {
  ping(signal?: AbortSignal): Promise<void>
  /**
   * What a tag or digest stands for now; `undefined` when there is none. To say that it is still `known` costs an upstream
   * least.
   */
  resolve(repository: string, reference: string, signal?: AbortSignal, known?: Digest): Promise<Digest | undefined>
  manifest(repository: string, reference: string, signal?: AbortSignal): Promise<FetchedManifest>
  /** The bytes of a blob; goes on where it was after a cut. Its digest is verified where it is stored. */
  blob(repository: string, blob: WantedBlob, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** How long a blob is that the upstream says it has; `undefined` when it has none, or does not say. */
  blobSize(repository: string, digest: Digest, signal?: AbortSignal): Promise<number | undefined>
  /** As `resolve`, by GET: there are registries whose HEAD knows nothing of a tag that they list. */
  resolveByGet(repository: string, reference: string, signal?: AbortSignal): Promise<Digest | undefined>
  /** All tags, each once, a page at a time. `onOpenEnd` hears that there may be more. */
  tags(repository: string, signal?: AbortSignal, onOpenEnd?: OnOpenEnd): AsyncIterable<string[]>
  /** What refers to a digest; `undefined` when the upstream has no such API, and the tag of the fallback schema is to be asked. */
  referrers(repository: string, digest: Digest, signal?: AbortSignal): Promise<Referrer[] | undefined>
  /** The atomic signatures of a manifest; `undefined` when the upstream does not announce that it has such. */
  signatures(repository: string, digest: Digest, signal?: AbortSignal): Promise<AtomicSignature[] | undefined>
  /** All repositories of the registry, each once, a page at a time. `onOpenEnd` hears that there may be more. */
  catalog(signal?: AbortSignal, onOpenEnd?: OnOpenEnd): AsyncIterable<string[]>
  /** The bytes of a layer that a manifest only points to, from there, without credentials. As `blob` otherwise. */
  foreign(url: string, blob: WantedBlob, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** A small file from somewhere else, without credentials; `undefined` when it is not there. */
  foreignFile(url: string, limitBytes: number, signal?: AbortSignal): Promise<Buffer | undefined>
  close(): Promise<void>
}

const defaultTimeouts: Timeouts = { connectMs: 10_000, headersMs: 30_000, idleMs: 30_000 }
const defaultLongestPauseMs = 120_000

/** Makes a client; it connects when it is first asked for something, and `close` ends all it does. */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  const origin = new URL(options.url)
  const { retries = 5, concurrency = 8, longestPauseMs = defaultLongestPauseMs, onRetry } = options
  const way = {
    origin,
    addressRule: options.addressRule ?? createAddressRule({ openHosts: openHostsOf(options, origin) }),
    tls: options.tls ?? {},
    proxy: options.proxy,
    headers: options.headers ?? {},
    onAnswer: options.onAnswer,
    timeouts: { ...defaultTimeouts, ...options.timeouts },
    connections: concurrency,
  }
  const gates = options.gates ?? sharedGates
  const caller = callerOf(options, origin, longestPauseMs)
  const direct = createEgress({ ...way, isRare: options.isRare })
  const forTokens = createEgress({ ...way, isRare: true })
  const egress = limitedEgress(direct, gates, caller)
  const tokens = createTokenSource({
    cache: options.tokens ?? sharedTokens,
    egress: limitedEgress(forTokens, gates, caller),
    origin,
    credentials: options.credentials,
    tokenHosts: options.tokenHosts ?? [],
    identity: [options.tls, options.headers, options.proxy],
  })
  const limit = pLimit(concurrency)
  const insecure = origin.protocol === 'http:' || options.tls?.verify === false

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
      // A host that the request was redirected to has no say in how Berth logs in.
      const isOwn = answer.status === 401 && answer.url.origin === origin.origin
      if (isOwn && logins > 0) tokens.forget({ scope, authorization })
      const challenges = isOwn ? parseChallenges(answer.headers['www-authenticate'] ?? '') : []
      const refused = { scope, authorization, isNew: logins > 0 }
      const next = challenges.length > 0 ? await tokens.answer(challenges, refused, signal) : undefined
      if (next !== undefined) {
        authorization = next
        continue
      }
      const { waitSeconds } = readLimitNotice(answer.status, answer.headers) ?? {}
      const isSentOn = answer.url.origin !== origin.origin
      throw statusError(
        answer.url.host,
        isSentOn ? `${what}, for which ${origin.host} sent us there` : what,
        answer.status,
        waitSeconds ?? retryAfterSeconds(answer.headers['retry-after']),
      )
    }
  }
  const patience = (signal: AbortSignal | undefined): Patience => ({ retries, longestPauseMs, signal, onRetry })
  const tried = <T>(signal: AbortSignal | undefined, work: () => Promise<T>) =>
    retrying(patience(signal), () => limit(work))

  let hasSignatures: Promise<boolean> | undefined
  // Some registries refuse this to a login for single repositories only: they have none to offer then.
  const askAbilities = async (signal: AbortSignal | undefined) => {
    try {
      const answer = await tried(signal, () => send({ method: 'GET', path: '/v2/', absent: true, signal }))
      discard(answer)
      return announcesSignatures(answer)
    } catch (error) {
      hasSignatures = undefined
      if (error instanceof UpstreamError && ['unauthorized', 'denied'].includes(error.code)) return false
      throw error
    }
  }

  return {
    ping: async (signal) => {
      const answer = await tried(signal, () => send({ method: 'GET', path: '/v2/', signal }))
      discard(answer)
    },
    resolve: (repository, reference, signal, known) =>
      tried(signal, () => resolve(send, { repository, reference, signal }, known)),
    resolveByGet: (repository, reference, signal) =>
      tried(signal, () => resolveByGet(send, { repository, reference, signal })),
    manifest: (repository, reference, signal) =>
      tried(signal, () => fetchManifest(send, { repository, reference, signal })),
    blob: (repository, blob, signal) => {
      const path = `/v2/${repository}/blobs/${blob.digest}`
      return readBlob((headers) => send({ method: 'GET', path, repository, headers, signal }), blob, {
        limit,
        patience: patience(signal),
      })
    },
    blobSize: async (repository, digest, signal) => {
      const path = `/v2/${repository}/blobs/${digest}`
      const answer = await tried(signal, () => send({ method: 'HEAD', path, repository, absent: true, signal }))
      discard(answer)
      const sizeBytes = Number(answer.headers['content-length'] ?? Number.NaN)
      return answer.status < 300 && Number.isSafeInteger(sizeBytes) ? sizeBytes : undefined
    },
    tags: (repository, signal, onOpenEnd) => {
      const what = `the tags of ${repository}`
      return listNames({ path: `/v2/${repository}/tags/list`, what, onOpenEnd }, (path) =>
        tried(signal, () => readNamePage(send, { path, field: 'tags', repository, what, signal })),
      )
    },
    referrers: (repository, digest, signal) =>
      listReferrers({ repository, digest }, (path) =>
        tried(signal, () => readReferrerPage(send, { repository, digest, path, signal })),
      ),
    signatures: async (repository, digest, signal) => {
      hasSignatures ??= askAbilities(signal)
      if (!(await hasSignatures)) return undefined
      return tried(signal, () => readSignatures(send, { repository, digest, signal }))
    },
    catalog: (signal, onOpenEnd) => {
      const what = 'its repositories'
      return listNames({ path: '/v2/_catalog', what, onOpenEnd }, (path) =>
        tried(signal, () =>
          readNamePage(send, { path, field: 'repositories', scope: 'registry:catalog:*', what, signal }),
        ),
      )
    },
    foreignFile: (url, limitBytes, signal) =>
      tried(signal, () => readForeignFile(egress, url, { insecure, limitBytes, signal })),
    foreign: (url, blob, signal) => {
      return readBlob((headers) => askForeign(egress, url, { insecure, signal })(headers), blob, {
        limit,
        patience: patience(signal),
      })
    },
    close: async () => void (await Promise.all([direct.close(), forTokens.close()])),
  }
}

function callerOf(
  { credentials, ratePerSecond, onPause }: RegistryClientOptions,
  { host }: URL,
  longestPauseMs: number,
): Caller {
  const account = createHash('sha256')
    .update(JSON.stringify(credentials ?? null))
    .digest('base64')
  return { account, host, ratePerSecond, longestPauseMs, onPause }
}

/** The hosts that may be private: those that an operator named, and nothing that they point to. */
function openHostsOf(options: RegistryClientOptions, origin: URL): string[] {
  if (!options.allowPrivateAddresses) return []
  const named = [...(options.tokenHosts ?? []), ...(options.redirectHosts ?? [])]
  const hosts = named.map((host) => URL.parse(`https://${host}`)?.hostname ?? host)
  return [origin.hostname, ...(options.proxy ? [options.proxy.url.hostname] : []), ...hosts]
}
