export { isPrivateAddress } from './address-rules.ts'
export type { WantedBlob } from './blob.ts'
export {
  createRegistryClient,
  type FetchedManifest,
  type RegistryClient,
  type RegistryClientOptions,
  type Resolved,
} from './client.ts'
export { createLimiter } from './limiter.ts'
export type { Referrer } from './referrers.ts'
export type { Credentials } from './tokens/credentials.ts'
export { UpstreamError, type UpstreamErrorCode } from './upstream-error.ts'
export { normalizeRegistryUrl, upstreamRepository } from './url.ts'
