// An upstream for tests that does what they ask, wrong or right. Nothing that ships imports it.
export { type Blob, blobOf, type Image, imageOf, type Manifest, manifestOf, markImages } from './content.ts'
export {
  afterwards,
  cut,
  type Fault,
  gone,
  hang,
  hangAfter,
  noHead,
  oversized,
  redirectTo,
  short,
  slowly,
  status,
  typed,
  without,
  wrongBytes,
} from './faults.ts'
export { type LimitOptions, type Limits, limitRequests } from './limits.ts'
export { byLast, inPages, type PageQuirk } from './pages.ts'
export { startTestProxy, type TestProxy } from './proxy.ts'
export { requireTokens, type TokenRealm, type TokenRealmOptions } from './token-realm.ts'
export { type MisbehavingUpstream, startMisbehavingUpstream } from './upstream.ts'
