import type { Digest } from '@berth/oci'

export type ResolvedTag = { name: string; digest: Digest }

/** Companion tags that upstream lists, by the one that they begin with. */
export type ListedCompanions = ReadonlyMap<string, readonly string[]>

/**
 * What the filters choose upstream: tags, and manifests that are wanted without one. `companions` is `undefined` where nothing
 * was listed.
 */
export type Chosen = { tags: ResolvedTag[]; digests: readonly Digest[]; companions: ListedCompanions | undefined }
