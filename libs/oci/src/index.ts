export { knowsOnlySchema1, knowsOnlySingleManifests } from './accept.ts'
export { type ByteRange, parseContentRange, parseRanges } from './byte-range.ts'
export { isUnsureEntry, type Platform, type Reference } from './descriptor.ts'
export {
  algorithmOf,
  asDigest,
  type Digest,
  type DigestAlgorithm,
  digestAlgorithms,
  hexOf,
  parseDigest,
} from './digest.ts'
export { BadPattern, type Glob, parseGlob } from './glob.ts'
export { listedAnnotations } from './listed-annotations.ts'
export { manifestLimitBytes, type ParsedManifest, parseManifest, parsePushed } from './manifest.ts'
export {
  configLimitBytes,
  type ManifestFacts,
  type ManifestKind,
  manifestFacts,
  manifestKinds,
  readableConfig,
} from './manifest-facts.ts'
export {
  isForeignLayer,
  isIndexType,
  isManifestType,
  isSchema1Type,
  manifestMediaTypes,
  mediaTypes,
  servableType,
} from './media-types.ts'
export { isRepositoryName, isTag, repositoryNameLimit, tagLimit } from './names.ts'
export { OciError, type OciErrorCode, ociErrorBody } from './oci-error.ts'
export { parseRepositoryPattern } from './repository-pattern.ts'
export { parseRoute, type Route } from './route.ts'
export { type Schema1Signature, type SignedSchema1 } from './schema1.ts'
export { parseTagPattern, type TagPattern } from './tag-pattern.ts'
export { newestFirst, versionOf } from './version-order.ts'
