import {
  type Credentials,
  createRegistryClient,
  normalizeRegistryUrl,
  type Pause,
  type RegistryClient,
  type RegistryClientOptions,
  type UpstreamAnswer,
  type UpstreamError,
  upstreamRepository,
} from '@berth/registry-client'
import type { Sealer } from '@berth/service'
import type { Remote } from '../db/generated/client.ts'
import { type RemoteTimeouts, type SignaturePolicy, secretContext } from './fields.ts'

/**
 * What its user wants of a client: how long it waits at most for an upstream that names its own pause (2 minutes if nothing is
 * said, none for a remote without retries), and to hear of each pause, of what is tried again, and of each answer.
 */
export type ClientWishes = {
  longestPauseMs?: number
  onPause?: (pause: Pause) => void
  onRetry?: (error: UpstreamError) => void
  onAnswer?: ((answer: UpstreamAnswer) => void) | undefined
}

/**
 * A repository upstream, and the client that asks for it `concurrency` things at a time. `sigstore`: the server beside the registry
 * that has signatures of its manifests.
 */
export type OpenRemote = {
  client: RegistryClient
  repository: string
  host: string
  concurrency: number
  sigstore?: string | undefined
}

/**
 * Makes the client of a remote, for its repository or another one that it covers. Throws when it covers several and none is
 * named.
 */
export function openRemote(
  remote: Remote,
  sealer: Sealer,
  more: { upstreamName?: string } & ClientWishes = {},
): OpenRemote {
  const url = normalizeRegistryUrl(remote.url)
  const upstreamName = more.upstreamName ?? remote.upstreamName
  if (upstreamName === null) throw new Error(`remote ${remote.name} covers several repositories and none was named`)
  const { sigstore } = (remote.signatures ?? {}) as Partial<SignaturePolicy>
  const repository = upstreamRepository(url, upstreamName)
  return {
    client: openClient(remote, sealer, more),
    repository,
    host: url.host,
    concurrency: remote.concurrency,
    sigstore,
  }
}

/** Makes the client of a remote. Its secrets are opened here and go nowhere else. */
export function openClient(remote: Remote, sealer: Sealer, wishes: ClientWishes = {}): RegistryClient {
  return createRegistryClient({
    ...clientOptionsOf(remote, sealer),
    longestPauseMs: remote.retries === 0 ? 0 : wishes.longestPauseMs,
    onPause: wishes.onPause,
    onRetry: wishes.onRetry,
    onAnswer: wishes.onAnswer,
  })
}

/** What a remote says of its client, with its secrets open. */
export function clientOptionsOf(remote: Remote, sealer: Sealer): RegistryClientOptions {
  const { sigstore } = (remote.signatures ?? {}) as Partial<SignaturePolicy>
  return {
    url: normalizeRegistryUrl(remote.url).href,
    credentials: credentialsOf(remote, sealer),
    tokenHosts: remote.tokenHosts,
    tls: {
      verify: remote.tlsValidation,
      ca: remote.caCert ?? undefined,
      cert: remote.clientCert ?? undefined,
      key: remote.sealedClientKey ? open(remote.id, 'clientKey', remote.sealedClientKey, sealer) : undefined,
    },
    proxy: proxyOf(remote, sealer),
    headers: remote.sealedHeaders
      ? (JSON.parse(open(remote.id, 'headers', remote.sealedHeaders, sealer)) as Record<string, string>)
      : {},
    timeouts: timeoutsOf((remote.timeouts ?? {}) as RemoteTimeouts),
    concurrency: remote.concurrency,
    ratePerSecond: remote.rateLimit ?? undefined,
    retries: remote.retries,
    allowPrivateAddresses: remote.allowPrivateAddresses,
    redirectHosts: [...remote.redirectHosts, ...(sigstore ? [new URL(sigstore).host] : [])],
  }
}

function open(id: string, field: Parameters<typeof secretContext>[1], sealed: Uint8Array, sealer: Sealer): string {
  return sealer.open(Buffer.from(sealed), secretContext(id, field))
}

function proxyOf({ id, proxyUrl, proxyUsername, sealedProxyPassword }: Remote, sealer: Sealer) {
  if (!proxyUrl) return undefined
  const login =
    proxyUsername !== null && sealedProxyPassword
      ? { username: proxyUsername, password: open(id, 'proxyPassword', sealedProxyPassword, sealer) }
      : undefined
  return { url: new URL(proxyUrl), login }
}

function timeoutsOf({ connectSeconds, headersSeconds, idleSeconds }: RemoteTimeouts) {
  return {
    ...(connectSeconds === undefined ? {} : { connectMs: connectSeconds * 1000 }),
    ...(headersSeconds === undefined ? {} : { headersMs: headersSeconds * 1000 }),
    ...(idleSeconds === undefined ? {} : { idleMs: idleSeconds * 1000 }),
  }
}

// What docker stores an identity token under, in place of a name.
const identityTokenUser = '<token>'

function credentialsOf(remote: Remote, sealer: Sealer): Credentials | undefined {
  const { id, username, sealedPassword, sealedToken } = remote
  if (sealedToken) return { token: open(id, 'token', sealedToken, sealer) }
  if (username === null || !sealedPassword) return undefined
  const password = open(id, 'password', sealedPassword, sealer)
  return username === identityTokenUser ? { refreshToken: password } : { username, password }
}
