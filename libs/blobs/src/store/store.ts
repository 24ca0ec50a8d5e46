import type { Readable, Writable } from 'node:stream'
import type { ByteRange, Digest } from '@berth/oci'

/** An object is named by digest *and* generation, so that a late delete can only hit what is not used any more. */
export type BlobKey = { digest: Digest; generation: number }

/** A key whose generation may still be on its way: bytes can be received and verified before it is known. */
export type PendingKey = { digest: Digest; generation: number | Promise<number> }

export type BlobStat = { sizeBytes: number; modifiedAt: Date }

/**
 * Bytes of an upload session that are not yet a blob. Plain JSON, made to be kept in a row. With a journal a small one may be lost at
 * a power cut, which its publication sees.
 */
export type StagedPart = {
  id: string
  startOffset: number
  sizeBytes: number
  /** Hex sha256 of exactly these bytes. */
  sha256: string
}

export type ReadOptions = { range?: ByteRange | undefined; signal?: AbortSignal | undefined }

/** What is read first of a blob whose size is known. */
export type FirstRead = ReadOptions & { sizeBytes: number }

/** `givesChunks`: the source touches none of its chunks again, so that their memory can be freed early. */
type Given = { signal?: AbortSignal | undefined; givesChunks?: boolean }

export type WriteOptions = Given & {
  /** The size announced for the source; another one is a `SizeMismatch`. */
  expectedBytes?: number | undefined
  /** Where a source is cut off with `BlobTooLarge`. */
  limitBytes?: number | undefined
  /**
   * Asks where these bytes may be already. A store that can compare with them what comes writes only what is not there; it asks when
   * there is so much to write that this pays.
   */
  there?: (() => Promise<BlobKey | undefined>) | undefined
}

/** `isThere`: the blob was there already, where `there` said, and nothing was written under the key. */
export type Written = BlobStat & { isThere?: true }

/** `isThere`: the blob is said to be there already. */
export type PublishOptions = { signal?: AbortSignal | undefined; isThere?: boolean }

export type PartOptions = Given & { limitBytes?: number | undefined }

/** A blob held open: it can be read to its end even when it is removed meanwhile (on S3: unless it is removed). */
export interface OpenBlob {
  readonly sizeBytes: number
  /** A stream of its own buffers, for a reader that keeps or transforms them. */
  stream(options?: ReadOptions): Readable
  /** The bytes, each chunk lent until the next one is asked for: for a reader of much that keeps nothing. */
  lend(options?: ReadOptions): AsyncIterable<Buffer>
  /**
   * The hot path: writes the bytes to `sink` and resolves when the last one is handed over; does not end the sink.
   * Rejects when the stored bytes run short, the sink closes, or the signal aborts; if bytes had gone out by then the
   * sink is destroyed, so that a broken answer can never look complete.
   */
  sendTo(sink: Writable, options?: ReadOptions): Promise<void>
  close(): Promise<void>
}

/** That stored bytes were damaged and are replaced by what was written again; or that they could not be compared. */
export type HealingReport = { digest: Digest; healed: true } | { digest: Digest; healed: false; error: unknown }

/** A disk that Berth writes to: how it is called to people, without its path, and a folder on it. */
export type Disk = { name: string; label: string; folder: string }
export type DiskState = Disk & { freeBytes: number; reserveBytes: number }

/** The texts that a store keeps about itself: whose it is, and who deletes in it. */
export type NoteName = 'berth-store.json' | 'berth-cleaner.json'

/** Something left in staging: a part, an unfinished write, or (S3) an unfinished multipart upload. */
export type StagedLeftover = {
  /** The part's id, where it is a part of an upload session. */
  partId: string | undefined
  name: string
  modifiedAt: Date
  /** Removes it; `false` when it was gone already. */
  discard(): Promise<boolean>
}

/**
 * The content-addressed byte store. `undefined` and `false` mean absence and nothing else; every other failure throws.
 * Nothing can be read under a key before its digest is verified and its bytes are durable.
 */
export interface BlobStore {
  /**
   * The least size of a chunk of an upload that the store is good at; `undefined` when any is. Smaller ones work too. On S3
   * each chunk is an object of its own, with its round trips, and all are read back and put together at the end.
   */
  readonly preferredChunkBytes: number | undefined
  /** Whether a staged part becomes a blob by being moved; else by a copy of all its bytes. */
  readonly movesParts: boolean
  /**
   * Whether only this process takes in uploads, and has the bytes of a small part in memory at first. What notes such a part need not be
   * made durable any sooner.
   */
  readonly keepsSmallParts: boolean
  /** Call before anything else: makes what is missing, tries every step of a write, throws with the remedy. */
  check(): Promise<void>
  stat(key: BlobKey): Promise<BlobStat | undefined>
  /** With `first`, a store on the network is asked once, for what is read first, in place of a look-up and then for that. */
  open(key: BlobKey, first?: FirstRead): Promise<OpenBlob | undefined>
  /**
   * Stores a source whose digest is known. Of concurrent writers of one key all succeed. A blob that is there already is
   * replaced when it turns out to be damaged; that is found out later, and no call waits for it.
   */
  write(key: PendingKey, source: AsyncIterable<Uint8Array>, options?: WriteOptions): Promise<Written>
  /**
   * Stages bytes of an upload session under an id never used before (`[A-Za-z0-9_-]`, at most 128).
   * Throws `PartInterrupted` when the source breaks off.
   */
  writePart(
    id: string,
    startOffset: number,
    source: AsyncIterable<Uint8Array>,
    options?: PartOptions,
  ): Promise<StagedPart>
  /**
   * Makes a blob of parts that follow each other from offset 0. One whole part with the digest's own hash is moved
   * into place; anything else is copied by its recorded ranges and hashed again. Doing it twice is doing it once. What is there
   * already is treated as by `write`; a part that is wanted for that is discarded when it is done.
   * Parts may stay behind: call `discardParts` once the outcome is recorded.
   */
  publish(parts: readonly StagedPart[], key: BlobKey, options?: PublishOptions): Promise<BlobStat>
  /**
   * Takes back a blob that was stored under `own` and counts under another key. Ends once what counts is there as large as it must be;
   * where it is missing or has another size, ours is moved there. Ours goes behind that, or takes the place of one that turns out to be
   * damaged, as of what is written again.
   */
  giveWay(own: BlobKey, counting: BlobKey): Promise<void>
  /** Removes parts, also unfinished ones; those that are gone are no error. */
  discardParts(ids: readonly string[]): Promise<void>
  /** `false` when it was absent. */
  remove(key: BlobKey): Promise<boolean>
  walk(options?: { signal?: AbortSignal | undefined }): AsyncIterable<BlobKey & BlobStat>
  walkStaged(options: { olderThan: Date; signal?: AbortSignal | undefined }): AsyncIterable<StagedLeftover>
  /** A small text that the store keeps about itself, `undefined` when there is none. */
  readNote(name: NoteName): Promise<string | undefined>
  /** Replaces such a text; it is durable when this resolves, and readers see the old one or the new one. */
  writeNote(name: NoteName, text: string): Promise<void>
  /**
   * Stores a file that people carry away under `transfer/`. It is no blob: nothing looks at it or removes it by itself. One that was there
   * under the path is replaced.
   */
  writeTransfer(path: string, source: AsyncIterable<Uint8Array>, options?: WriteOptions): Promise<BlobStat>
  /** Whether such a file is there, or any below the path. */
  hasTransfers(path: string): Promise<boolean>
  /** Removes such a file, or all below the path, also unfinished ones; `false` when there were none. */
  removeTransfers(path: string): Promise<boolean>
  /** A URL from which anyone can read the blob for so long. Only where the store can make one. */
  presignedUrl?(key: BlobKey, ttlSeconds: number): Promise<string>
  /** The disks that pushes and syncs must not fill, and how much is left of them. Only where they are watched. */
  disks?(): Promise<DiskState[]>
  /** Resolves once all that was written again is compared with what was there. */
  compared(): Promise<void>
  /** Why the store is not to be relied on, if it is not: what it acknowledged is safe, and needs a person. */
  unready?(): string | undefined
  close(): Promise<void>
}
