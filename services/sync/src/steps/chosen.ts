import type { Digest } from '@berth/oci'

export type ResolvedTag = { name: string; digest: Digest }

/** Companion tags that upstream lists, by the one that they begin with. */
export type ListedCompanions = ReadonlyMap<string, readonly string[]>

/**
 * What the filters choose upstream: tags, and manifests that are wanted without one. `companions` is `undefined` where nothing
 * was listed.
 */
export type Chosen = {
  tags: ResolvedTag[]
  digests: readonly Digest[]
  companions: ListedCompanions | undefined
  /** Whether upstream's list was read to its proven end. What is not known to be gone is not removed. */
  isListComplete: boolean
  /** What the list names that is no tag, as it can be shown. */
  skippedNames: readonly string[]
}

/** Whether a run is to leave the repository with no more than upstream has: not where it is not known what that is. */
export function isMirror(run: { mode: string }, { isListComplete }: Pick<Chosen, 'isListComplete'>): boolean {
  return run.mode === 'mirror' && isListComplete
}
