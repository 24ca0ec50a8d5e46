import type { Digest } from '@berth/oci'
import type { Actor } from '@berth/service'
import type { ManifestSignature, StoredBlob } from './content.ts'

/**
 * A row of what is served. Intervals hold for the versions from `since` up to, not including, `until`. What is latest, with what is
 * loose, is what holds in version `latestVersion + 1`; of a rollback that is not written out, one that is older (docs/decisions/0024).
 */
export type ServedRow =
  | { kind: 'head'; repositoryId: string; name: string; revision: number; latestVersion: number; from: number }
  | { kind: 'gone'; repositoryId: string }
  /** All that changed: from version `at` on the content is that of `version`, which a follower that has come so far has. */
  | { kind: 'restored'; version: number; at: number }
  | { kind: 'tag'; name: string; digest: Digest; since: number; until: number | null }
  /** `pushedType`: the type with which it was pushed here; empty, where that is what its bytes say. */
  | { kind: 'manifest'; digest: Digest; pushedType: string; since: number; until: number | null }
  | ({ kind: 'signature'; since: number; until: number | null } & ManifestSignature)
  | { kind: 'blob'; digest: Digest; since: number; until: number | null }
  | { kind: 'link'; digest: Digest; linked: boolean }
  | {
      kind: 'manifest-facts'
      digest: Digest
      generation: number
      /** Of two places of one digest the one with the higher number came later; absent where an older catalog tells. */
      placed?: number
      mediaType: string
      sizeBytes: number
      envelope: StoredBlob | null
      artifactType: string | null
      subject: Digest | null
      annotations: Record<string, string>
    }
  | { kind: 'blob-facts'; digest: Digest; generation: number; placed?: number; sizeBytes: number }
  | ({ kind: 'distribution' } & ServedDistribution)

/** Who may have content fetched that is not here yet: anybody who may pull, those with an account, or these users. */
export type PullTrigger = 'anonymous' | 'users' | string[]
/** The same as it is kept: accounts by id. One without was named when there was no such account, and lets nobody. */
export type KeptTrigger = 'anonymous' | 'users' | Actor[]

/** A base path below which content comes from a remote when it is first pulled. */
export type ServedPullThrough = {
  id: string
  basePath: string
  remoteId: string
  /** The remote's `host[:port]`, as `?ns=` names it. */
  host: string
  ttlSeconds: number
  trigger: KeptTrigger
  /** Whether a name that nothing here has means what comes below this base path. */
  mirrorOfRoot: boolean
  access: 'public' | 'private'
  revision: number
  deleted: boolean
}

export type ServedDistribution = {
  id: string
  basePath: string
  repositoryId: string
  version: number | null
  access: 'public' | 'private'
  redirect: boolean
  /** Told to every client that pulls there. */
  warning: string | null
  /** Whether clients that know nothing newer than Docker schema 1 get images as that. */
  convertToSchema1: boolean
  /** The pull-through distribution that it came by. */
  via: string | null
  /** The account that owns it; absent where an older catalog tells. */
  ownerId?: string | null
  revision: number
  deleted: boolean
}
export type ServedHead =
  | { kind: 'repository'; repositoryId: string; revision: number }
  | ({ kind: 'distribution' } & ServedDistribution)
  | ({ kind: 'pull-through' } & ServedPullThrough)
  /** The first segment of a repository's name, or one about which something is set. */
  | { kind: 'namespace'; name: string }
