import type { Digest } from '@berth/oci'

/** Sync's internal commands. */
export type SyncCommands = {
  /**
   * Fetches bytes again, from a remote that one of these repositories was synced from, and stores them under this generation,
   * which the caller has leased. `null` when no remote has them or answers.
   */
  'fetch-again': {
    request: {
      repositoryIds: string[]
      blob: { digest: Digest; generation: number; sizeBytes: number; isManifest: boolean }
    }
    reply: { remote: string | null }
  }
}
