import type { ByteRange, Digest } from '@berth/oci'
import type { Actor } from '@berth/service'
import type { ListAccessObjects } from './access-objects.ts'

/** The header of `fetch-blob` that says under which generation the store has the blob by now; there is no body then. */
export const storedGeneration = 'berth-stored-generation'

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
  /** Which of these blobs, 500 at most, a remote says just now that it has. */
  'check-still-there': { request: { blobs: { digest: Digest; sizeBytes: number }[] }; reply: { digests: Digest[] } }
  /** Remotes. */
  'list-access-objects': ListAccessObjects
  /** A remote by id or name, with its `host[:port]`. */
  'find-remote': {
    request: { remote: string }
    reply: { remote: { id: string; name: string; host: string; ownerId: string | null } | null }
  }
  /**
   * Brings what a tag or a digest of a remote's repository stands for into the repository of ours that is named, with a version
   * of it when that is new, and answers its digest once it is served. An index comes without its members. Throws 404
   * `manifest_not_found` only when upstream says so; 429 and 503 when it says no or nothing; 409 `remote_moved` when the remote
   * names another registry by now than `host`.
   */
  'pull-through': {
    request: {
      via: string
      remoteId: string
      host: string
      upstreamName: string
      name: string
      reference: string
      actor: Actor
    }
    reply: { digest: Digest; changed: boolean }
  }
  /**
   * Brings what refers to a manifest upstream, as far as it is not here yet, into the repository of ours that is named, and answers
   * once it is served. Throws as `pull-through`, save that nothing is absent: what is not referred to changes nothing.
   */
  'pull-through-referrers': {
    request: {
      via: string
      remoteId: string
      host: string
      upstreamName: string
      name: string
      digest: Digest
      actor: Actor
    }
    reply: { changed: boolean }
  }
  /**
   * Gives the bytes of a blob, or a range of them, from a remote that has it, and keeps them where its policy says so. Answers
   * bytes; or none, with the generation under `storedGeneration`, when the store has the blob by now. The last bytes come only
   * when all of them are verified; before that the connection breaks off if they are wrong.
   */
  'fetch-blob': {
    request: { digest: Digest; sizeBytes: number; range?: ByteRange }
    reply: unknown
  }
}
