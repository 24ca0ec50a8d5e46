import type { Digest } from '@berth/oci'
import type { Actor } from '@berth/service'
import type { ListAccessObjects } from './access-objects.ts'
import type {
  LastPull,
  LeasedBlob,
  ManifestRecord,
  ManifestSignature,
  OmittedChild,
  RepositoryHead,
  StoredBlob,
  TagChanges,
  VersionCause,
} from './content.ts'
import type { RequiredSignatures } from './required-signatures.ts'
import type { KeptTrigger, ServedHead, ServedRow } from './served.ts'

/** What registry must have applied before the client is told of a success. */
type ServedChange = { repositoryId: string; revision: number }

/** A distribution, as the right to pull from it is decided by. */
type PulledFrom = { id: string; basePath: string; ownerId: string | null; isPublic: boolean }

type PushedManifest = {
  repository: string
  mayCreate: boolean
  actor: Actor
  /** Who owns what is made; absent or null: its namespace. */
  ownerId?: string | null
  holder: string
  manifest: ManifestRecord
  /** The type that its client says, where its bytes alone would be taken for another: it is served so in this repository. */
  pushedType?: string
  tags: string[]
}

/** Catalog's internal commands and queries. */
export type CatalogCommands = {
  /**
   * The repository of what was pulled below the base path of a pull-through distribution, made with its distribution when there
   * is none yet, and whether `tag` stands there for what upstream says. Throws 409 when something else has its name.
   */
  'ensure-pulled': {
    request: { via: string; name: string; actor: Actor; tag?: { name: string; digest: Digest } }
    reply: { repository: RepositoryHead; isHere: boolean }
  }
  /**
   * Answers once registry serves the repository as it is now, with its latest version: a success that changes nothing tells of that
   * state, and its caller may read it. Throws 503 `not_yet_served` after ten seconds, 404 when there is none.
   */
  'await-served': { request: { repository: string }; reply: { version: number } }
  /** A moment, for `asked` of `commit-stage`: to be taken before upstream is asked. */
  'take-pull-order': { request: Record<string, never>; reply: { asked: number } }
  /**
   * Whether an index of the repository names this manifest; one that came by a companion tag, which is not signed, does not
   * count.
   */
  'check-named': { request: { repository: string; digest: Digest }; reply: { isNamed: boolean } }
  /** The repository of this name, made with a distribution of the same name when there is none; as a first push does. */
  'ensure-repository': {
    request: { name: string; actor: Actor; ownerId?: string | null }
    reply: { repository: RepositoryHead }
  }
  /**
   * What is served under a base path, and what a tag or a digest means there; where that may come from a host, which one, and by whose pull. Who
   * asks decides who may pull it.
   */
  'find-served': {
    request: { basePath: string; tag?: string; digest?: Digest }
    reply: {
      /** Absent where nothing is served. */
      distribution: (PulledFrom & { repositoryId: string; repository: string }) | null
      /** Of a manifest that is there. */
      digest: Digest | null
      /** The host below whose base path it lies. */
      pullThrough: (PulledFrom & { remoteId: string; host: string; trigger: KeptTrigger }) | null
    }
  }
  /** A repository by id or name. */
  'find-repository': {
    request: { repository: string }
    reply: { repository: (RepositoryHead & { ownerId: string | null }) | null }
  }
  /** Whether builds into a namespace may have a network. */
  'check-build-egress': { request: { namespace: string }; reply: { isAllowed: boolean } }
  /** Throws 403 `tag_immutable` where one of these tags is there and must not move. */
  'check-tags': { request: { repositoryId: string; tags: string[] }; reply: Record<string, never> }
  /**
   * Whose signatures content must have that comes from upstream into a repository, by id or name; `null` also when it is not
   * there.
   */
  'find-required-signatures': { request: { repository: string }; reply: { signatures: RequiredSignatures | null } }
  /** Leases up to 500 digests for a holder (an upload session, a sync run); leasing again renews. */
  'lease-blobs': { request: { holder: string; digests: Digest[]; ttlSeconds: number }; reply: { blobs: LeasedBlob[] } }
  /**
   * Leases a blob that a repository has, so that pushes to it may name it for so long, whatever happens to it there. `null`: the
   * repository does not have it. `repositoryId`: it must still be this one.
   */
  'keep-blob': {
    request: { repository: string; repositoryId?: string; holder: string; digest: Digest; ttlSeconds: number }
    reply: { blob: StoredBlob | null }
  }
  /** Leases a blob that the store has, so that its bytes stay for so long; it may not be named for that. `null`: it has none. */
  'lease-present': {
    request: { holder: string; digest: Digest; ttlSeconds: number }
    reply: { blob: StoredBlob | null }
  }
  /** Gives the leases of a holder more time. */
  'renew-leases': { request: { holder: string; ttlSeconds: number }; reply: Record<string, never> }
  /** Ends the leases of a holder; with `discard`, what it alone wanted and no repository has ever had is removed at once. */
  'release-leases': { request: { holder: string; discard?: boolean }; reply: Record<string, never> }
  /** Says that leased bytes are durable now. */
  'record-blobs': { request: { holder: string; blobs: StoredBlob[] }; reply: Record<string, never> }
  /**
   * As `push-blob`, for registries of the release before: links a blob to a repository of that name and leases it from now; makes the repository and its distribution when
   * `mayCreate` and there is none.
   */
  'link-blob': {
    request: {
      repository: string
      mayCreate: boolean
      actor: Actor
      /** Who owns what is made; absent or null: its namespace. */
      ownerId?: string | null
      holder: string
      ttlSeconds: number
      blob: StoredBlob
    }
    /** `warning` is for the client that pushes: the quota of the namespace is nearly used up. */
    reply: { change: ServedChange; rows: ServedRow[]; warning?: string }
  }
  /**
   * Ends a pushed blob whose bytes are durable under a number that its writer took (`take-generations`): linked to the repository of
   * that name, and kept there so long for a manifest to come; makes the repository and its distribution when `mayCreate` and there is
   * none, which `repositoryId` null tells; else that one is meant, and `isGone` says that it is no more. `blob` says where it counts: under another generation it was here already, and the writer's own bytes are not needed. With
   * `generation` null what is here is linked; `blob` is null where that is nothing.
   */
  'push-blob': {
    request: {
      repository: string
      mayCreate: boolean
      actor: Actor
      /** Who owns what is made; absent or null: its namespace. */
      ownerId?: string | null
      repositoryId: string | null
      digest: Digest
      generation: number | null
      sizeBytes: number
      keepSeconds: number
    }
    /** `made`: what registry has to know of a repository that was made. `warning` as of `link-blob`. */
    reply: {
      blob: StoredBlob | null
      isGone?: boolean
      made?: { repositoryId: string; rows: ServedRow[] }
      warning?: string
    }
  }
  /** Numbers of generations, none of which is handed out twice. Their writer may use them for 24 hours. */
  'take-generations': { request: { count: number }; reply: { numbers: number[] } }
  /** A blob that pushes linked to a repository and that is in the store; null where there is none. */
  'find-link': { request: { repository: string; digest: Digest }; reply: { blob: StoredBlob | null } }
  /** The ids of repositories to which pushes linked a blob that is in the store, a thousand at most. */
  'list-linking': { request: { digest: Digest }; reply: { repositoryIds: string[] } }
  /**
   * A pushed manifest, whose bytes are durable under a number that its writer took: recorded, its references checked, tags moved, one
   * version (or a loose member when `tags` is empty).
   */
  'push-manifest': {
    request: PushedManifest
    /** `stored`: where its bytes count, and those of its envelope. `warning` as of `link-blob`. */
    reply: { change: ServedChange; version: number; rows: ServedRow[]; stored: StoredBlob[]; warning?: string }
  }
  /** As `push-manifest`, for registries of the release before, which lease its digest first: their catalog knows bytes by leases alone. */
  'put-manifest': {
    request: PushedManifest
    reply: { change: ServedChange; version: number; rows: ServedRow[]; warning?: string }
  }
  /** Adds a signature to a manifest of the repository: one version, or none when it is there already. */
  'put-signature': {
    request: { repository: string; actor: Actor; signature: ManifestSignature }
    reply: { change: ServedChange; version: number; rows: ServedRow[] }
  }
  /** Deletes a tag or a manifest as `/v2` does: a new version without it. */
  'delete-reference': {
    request: { repository: string; actor: Actor; tag?: string; digest?: Digest }
    reply: { change: ServedChange; version: number; rows: ServedRow[] }
  }
  'delete-blob-link': {
    request: { repository: string; actor: Actor; digest: Digest }
    reply: { change: ServedChange; rows: ServedRow[] }
  }
  /**
   * Puts a part of a large change aside under a stage, at most 1,000 manifests and 10,000 tags a call. Repeating is harmless.
   * `manifests` are recorded only: what becomes part of the repository is what `tags` and `members`, recorded manifests without
   * a tag, reach. Of the children of an index those that are `omitted` are neither asked for nor put in. Tags, and digests, that a
   * mirror is to leave as they are, with all that hangs on them, are `kept`. `signatures` come with their manifests; a name that is taken
   * stays. `blobs` are stored foreign layers that come with the manifests that name them. `deferred`: blobs that are leased and
   * stay where they are until they are pulled (docs/decisions/0014).
   */
  'stage-content': {
    request: {
      stage: string
      fence: number
      manifests: ManifestRecord[]
      tags: { name: string; digest: Digest }[]
      members?: Digest[]
      deferred?: { digest: Digest; sizeBytes: number }[]
      omitted?: OmittedChild[]
      kept?: string[]
      signatures?: ManifestSignature[]
      blobs?: Digest[]
    }
    reply: Record<string, never>
  }
  /**
   * Commits what is staged as one version, or none when nothing changes; refuses a fence lower than one seen. Served when it
   * answers. With `asked`, tags are refused (409 `overtaken`) of which a later answer may have been taken over.
   */
  'commit-stage': {
    request: {
      repositoryId: string
      stage: string
      fence: number
      cause: VersionCause
      actor: Actor
      taskId: string | null
      mode: 'additive' | 'mirror'
      force: boolean
      asked?: number
    }
    reply: {
      version: number
      created: boolean
      tags: TagChanges
      tagCounts: { added: number; moved: number; removed: number }
    }
  }
  /** Forgets a stage whose run ended without a commit, and refuses it from now on. */
  'close-stage': { request: { stage: string; fence: number }; reply: { committed: boolean } }
  /**
   * Which of these manifests are recorded already, with their bytes; the others have to be fetched. What does not fit into one
   * reply is in `rest`, to be asked for again.
   */
  'list-known-manifests': { request: { digests: Digest[] }; reply: { manifests: ManifestRecord[]; rest: Digest[] } }
  /** Which of these blobs are in the store. */
  'list-known-blobs': { request: { digests: Digest[] }; reply: { digests: Digest[] } }
  /**
   * Which of these manifests and blobs, 1,000 at most, tell no user anything new when the repository gets them: it has them, or
   * every client may pull them from a public distribution.
   */
  'list-freely-given': { request: { repositoryId: string; digests: Digest[] }; reply: { digests: Digest[] } }
  /** The names of pull-through distributions that bring what they serve from a remote, ten at most. */
  'list-pulled-through': { request: { remoteId: string }; reply: { distributions: string[] } }
  /** Which of these manifests the repository has, as its latest version or loose. */
  'list-members': { request: { repositoryId: string; digests: Digest[] }; reply: { digests: Digest[] } }
  /** How it stands with blobs, 1,000 at most; those that are not known are left out. */
  'list-blob-states': {
    request: { digests: Digest[] }
    reply: { blobs: { digest: Digest; state: 'writing' | 'present' | 'remote' | 'removing' }[] }
  }
  /** Blobs of the latest version whose bytes are not here but at a remote, by pages of digests. */
  'list-remote-blobs': {
    request: { repositoryId: string; after?: string; limit: number }
    reply: { blobs: { digest: Digest; sizeBytes: number }[] }
  }
  /** Which of these signatures the repository has, by name. */
  'list-known-signatures': { request: { repositoryId: string; names: string[] }; reply: { names: string[] } }
  /**
   * These manifests and what of the repository is below them, with `companions` also what refers to any of it. Of `childless`
   * ones what they name is left out.
   */
  'find-closure': {
    request: { repositoryId: string; digests: Digest[]; companions: boolean; childless?: Digest[] }
    reply: { digests: Digest[] }
  }
  /** The manifests of a repository that name foreign layers which it does not have. */
  'list-lacking-foreign': { request: { repositoryId: string }; reply: { digests: Digest[] } }
  /** The indexes of a repository that are not whole: below them it lacks a manifest. */
  'list-sparse-indexes': { request: { repositoryId: string }; reply: { digests: Digest[] } }
  /** Tags of the latest version, by pages of names. */
  'list-tags': {
    request: { repositoryId: string; after?: string; limit: number }
    reply: { tags: { name: string; digest: Digest }[] }
  }
  /** Whether anything may be deleted from the blob store: not while another installation deletes there too. */
  'check-may-delete': { request: Record<string, never>; reply: { mayDelete: boolean } }
  /** When tags and manifests were pulled last, in batches of at most 1,000. Repeating is harmless; a time never goes back. */
  /** The namespaces of which each pull is listed in the audit trail. */
  'list-audited-namespaces': { request: Record<string, never>; reply: { names: string[] } }
  'record-pulls': { request: { pulls: LastPull[] }; reply: Record<string, never> }
  /**
   * All that changed of a repository after a revision, as rows; the first row is the head. Its `from` is 0 when they are all that
   * there is: what a follower has beyond them is over. For a
   * repository that is gone there is one row, which says so.
   */
  'list-served-rows': { request: { repositoryId: string; afterRevision: number }; reply: ServedRow }
  /** The heads of all repositories and all distributions, as rows. */
  'list-served-heads': { request: Record<string, never>; reply: ServedHead }
  /** Repositories and distributions. */
  'list-access-objects': ListAccessObjects
}
