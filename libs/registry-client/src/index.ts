export type { WantedBlob } from './blob.ts'
export {
  createRegistryClient,
  type RegistryClient,
  type RegistryClientOptions,
} from './client.ts'
export { isNeverAsked, isPrivateAddress } from './egress/address-rules.ts'
export type { ProxyOptions, Timeouts, TlsOptions } from './egress/agents.ts'
export type { Credentials } from './egress/credentials.ts'
export type { UpstreamAnswer } from './egress/egress.ts'
export { dial, lookUp, shakeHands } from './egress/reach.ts'
export { unlessAborted } from './egress/unless-aborted.ts'
export { UpstreamError, type UpstreamErrorCode } from './egress/upstream-error.ts'
export { createGuardedFetch, type GuardedFetch } from './guarded-fetch.ts'
export type { FetchedManifest } from './manifests.ts'
export { type Posted, postGuarded } from './post-guarded.ts'
export type { Pause } from './rate-limits/host-gates.ts'
export type { Referrer } from './referrers.ts'
export type { AtomicSignature } from './signatures.ts'
export { createTokenCache } from './tokens/token-cache.ts'
export { normalizeRegistryUrl, upstreamRepository } from './url.ts'
