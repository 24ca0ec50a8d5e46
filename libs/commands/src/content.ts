import type { Digest, ParsedManifest } from '@berth/oci'

/** A manifest as catalog records it: what its bytes say, and where they lie. */
export type ManifestRecord = Omit<ParsedManifest, 'signed'> & {
  digest: Digest
  sizeBytes: number
  generation: number
  /**
   * The bytes as they were pushed, where the digest is of a part of them only: a signed schema 1 manifest. `sizeBytes` and
   * `generation` above are those of that part.
   */
  envelope?: StoredBlob
}

/** A blob of the store: its bytes are durable under this generation of the digest's key. */
export type StoredBlob = { digest: Digest; generation: number; sizeBytes: number }

/**
 * A lease keeps bytes from the collector. `present`: the bytes are there and need not be written. `write`: write them under
 * this generation, then say so by `record-blobs` or the command that links them. With `isNew` the generation begins with this
 * lease: no upload can have left bytes under it. `isAlone`: no other holder has ever leased the generation, so bytes that lie
 * under it already are its own.
 */
export type LeasedBlob = {
  digest: Digest
  generation: number
  state: 'present' | 'write'
  sizeBytes: number | null
  isNew: boolean
  isAlone: boolean
}

/** An atomic signature: `name` is the digest of its manifest, `@` and 32 hex digits; `content` is base64. */
export type ManifestSignature = { name: string; digest: Digest; content: string }

/** The last pull of a tag or of a manifest, in milliseconds since 1970. */
export type LastPull = { repositoryId: string; tag?: string; digest?: Digest; at: number }

export type VersionCause =
  | 'push'
  | 'sync'
  | 'modify'
  | 'copy'
  | 'tag'
  | 'untag'
  | 'rollback'
  | 'import'
  | 'build'
  | 'remove'
export type RepositoryHead = { id: string; name: string; latestVersion: number; revision: number }
/** A child that an index names and its repository is not to have. */
export type OmittedChild = { manifest: Digest; child: Digest }
export type TagChanges = { added: string[]; moved: string[]; removed: string[] }
