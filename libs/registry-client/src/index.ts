export type { WantedBlob } from './blob.ts'
export {
  createRegistryClient,
  type RegistryClient,
  type RegistryClientOptions,
} from './client.ts'
export { isNeverAsked, isPrivateAddress } from './egress/address-rules.ts'
export type { ProxyOptions, Timeouts, TlsOptions } from './egress/agents.ts'
export type { UpstreamAnswer } from './egress/egress.ts'
export { dial, lookUp, shakeHands } from './egress/reach.ts'
export type { FetchedManifest } from './manifests.ts'
export type { Pause } from './manners/host-gates.ts'
export { createLimiter } from './manners/limiter.ts'
export type { Referrer } from './referrers.ts'
export type { AtomicSignature } from './signatures.ts'
export type { Credentials } from './tokens/credentials.ts'
export { createTokenCache } from './tokens/token-cache.ts'
export { unlessAborted } from './unless-aborted.ts'
export { UpstreamError, type UpstreamErrorCode } from './upstream-error.ts'
export { normalizeRegistryUrl, upstreamRepository } from './url.ts'
