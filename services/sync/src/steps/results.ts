import type { CatalogCommands } from '@berth/commands'
import type { SyncFailure } from '../fetch/failures.ts'

/** What a run did. `created` is false when upstream had nothing new; the version is then the one there was. */
export type SyncResult = CatalogCommands['commit-stage']['reply'] &
  Unknown & {
    bytesFetched: number
    bytesSaved: number
    tagsChecked: number
    /** The first of them; always empty unless the run was to skip what fails. */
    failures: SyncFailure[]
    failureCount: number
  }

/** What upstream did not let a run know. Nothing is removed for it. */
export type Unknown = {
  /** Whether upstream's list of tags was read to its proven end; if not, a mirror removes nothing. */
  listComplete: boolean
  /** What upstream lists that is no tag, the first thousand. */
  skippedNames: readonly string[]
  /** Of how many manifests upstream did not say what signatures and referrers they have. */
  companionsUnknown: number
}

/**
 * What a sync would do. `manifests`, `blobs` and `requests` are what it would ask upstream for; `needsForce`: more than half of the tags
 * would go, and only a forced mirror does that.
 */
export type SyncPlan = Unknown & {
  dryRun: true
  tags: { added: string[]; moved: string[]; removed: string[]; kept: string[] }
  tagCounts: { added: number; moved: number; removed: number; kept: number }
  needsForce: boolean
  manifests: number
  blobs: number
  bytesToFetch: number
  bytesSaved: number
  requests: number
  failures: SyncFailure[]
  failureCount: number
}
