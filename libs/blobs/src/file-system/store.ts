import { randomUUID } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import { algorithmOf } from '@berth/oci'
import { createHashThreads, type HashThreads } from '../hashing/hash-threads.ts'
import { BlobStoreError, PartInterrupted } from '../store/errors.ts'
import { comparedAtOnceBytes, createHealing, type Healing } from '../store/healing.ts'
import { inOrder, totalBytes, wholePart } from '../store/parts.ts'
import { blobPath, partPath, writePath } from '../store/paths.ts'
import { blobKeyOf } from '../store/pending-key.ts'
import { readSource } from '../store/source-reader.ts'
import type {
  BlobKey,
  BlobStat,
  BlobStore,
  HealingReport,
  OpenBlob,
  PartOptions,
  PendingKey,
  StagedPart,
  WriteOptions,
  Written,
} from '../store/store.ts'
import { checkReceived, type Received } from '../store/verify.ts'
import { type Commit, createCommit, putSmallFile, replaceFile, type SmallBlob } from './commit.ts'
import { removeFile, statPath, writeUnflushed } from './descriptors.ts'
import { errnoOf, orFail, storeFailure } from './failure.ts'
import { createFolders, type Folders } from './folders.ts'
import { createJournal, type Journal, type JournalOptions } from './journal.ts'
import { placeText, readText } from './notes.ts'
import { openStoredFile } from './open-file.ts'
import { readParts } from './parts-source.ts'
import { inlineBytes, receiveFile } from './receive.ts'
import { createRecentParts, type RecentParts } from './recent-parts.ts'
import { assertMounted, testRoot } from './self-test.ts'
import { createTransfers } from './transfers.ts'
import { walkBlobs, walkLeftovers } from './walk.ts'

type Store = {
  root: string
  folders: Folders
  threads: HashThreads
  healing: Healing
  commit: Commit
  /** Where there is a journal: what becomes of small blobs, and the small parts that came last. */
  small: { put: (blob: SmallBlob, key: BlobKey) => Promise<BlobStat>; parts: RecentParts } | undefined
}

/**
 * A blob store in a directory, which several processes and hosts may share if it is one file system with fsync. With a `journal`
 * whoever starts the process has replayed the logs of the one that had its name before, and sees that it is the only one.
 */
export function createFileSystemStore(options: {
  root: string
  hear?: ((report: HealingReport) => void) | undefined
  journal?: JournalOptions | undefined
}): BlobStore {
  const root = resolve(options.root)
  const folders = createFolders(root)
  const threads = createHashThreads()
  const healing = createHealing({
    open: (key) => openBlob(root, key),
    replace: (staged, key) => replaceFile(root, folders, staged, key),
    discard: removeFile,
    hear: options.hear,
  })
  const journal = options.journal && createJournal(root, folders, options.journal)
  const small = journal && {
    put: throughJournal(root, folders, journal, healing),
    parts: createRecentParts({ isAlone: options.journal?.isAlone }),
  }
  const store: Store = { root, folders, threads, healing, commit: createCommit(root, folders, healing), small }
  return {
    preferredChunkBytes: undefined,
    movesParts: true,
    keepsSmallParts: options.journal?.isAlone === true,
    check: () => testRoot(root, folders),
    stat: (key) => statBlob(root, key),
    open: (key) => openBlob(root, key),
    write: (key, source, how = {}) => orFail(`write ${key.digest}`, () => writeBlob(store, key, source, how)),
    writePart: (id, startOffset, source, how = {}) => writePart(store, id, startOffset, source, how),
    publish: (parts, key, how = {}) => orFail(`publish ${key.digest}`, () => publish(store, parts, key, how.signal)),
    giveWay: (own, counting) => orFail(`take back ${own.digest}`, () => giveWay(store, own, counting)),
    discardParts: (ids) =>
      orFail('discard staged parts', async () => {
        for (const id of ids) {
          const path = join(root, partPath(id))
          if (small && !(await small.parts.forget(id))) continue
          if (!healing.keeps(path)) await removeFile(path)
        }
      }),
    remove: (key) =>
      orFail(`remove ${key.digest}`, async () => {
        // Not synced: a name that comes back after a power cut is only a leftover, which a later sweep finds again.
        const removed = await removeFile(join(root, blobPath(key)))
        if (!removed) await assertMounted(root)
        return removed
      }),
    async *walk({ signal } = {}) {
      await orFail(`list ${root}`, () => assertMounted(root))
      yield* translated(`list ${root}`, walkBlobs(root, signal))
    },
    async *walkStaged({ olderThan, signal }) {
      await orFail(`list ${root}`, () => assertMounted(root))
      yield* translated(`list ${root}`, walkLeftovers(root, olderThan, signal))
    },
    ...createTransfers(root, threads),
    compared: () => healing.idle(),
    readNote: (name) =>
      orFail(`read ${name}`, async () => {
        const text = await readText(root, name)
        if (text === undefined) await assertMounted(root)
        return text
      }),
    writeNote: (name, text) => orFail(`write ${name}`, () => placeText(root, name, text)),
    unready: () => journal?.unready(),
    close: async () => {
      await healing.close()
      await small?.parts.close()
      await journal?.close()
      await Promise.all([threads.close(), folders.close()])
    },
  }
}

/** Makes a small blob durable in the journal, and then seen. */
function throughJournal(root: string, folders: Folders, journal: Journal, healing: Healing) {
  return async (blob: SmallBlob, key: BlobKey): Promise<BlobStat> => {
    const place = blobPath(key)
    await folders.ensure(dirname(place))
    return journal.write(place, blob.bytes, () => putSmallFile(root, key, blob, healing))
  }
}

async function statBlob(root: string, key: BlobKey): Promise<BlobStat | undefined> {
  const path = join(root, blobPath(key))
  return orFail(`look up ${key.digest}`, async () => {
    const stats = await statPath(path)
    if (stats) return { sizeBytes: stats.size, modifiedAt: stats.mtime }
    await assertMounted(root)
    return undefined
  })
}

async function openBlob(root: string, key: BlobKey): Promise<OpenBlob | undefined> {
  const path = join(root, blobPath(key))
  return orFail(`open ${key.digest}`, async () => {
    try {
      return await openStoredFile(path, key.digest)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      await assertMounted(root)
      return undefined
    }
  })
}

async function writeBlob(
  { root, threads, commit, small }: Store,
  key: PendingKey,
  source: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<Written> {
  const place = blobKeyOf(key)
  // Without a place the bytes are read to their end and thrown away, as with a wrong digest.
  place.catch(() => undefined)
  const staged = join(root, writePath(randomUUID()))
  const reader = readSource(source, options)
  const check = (received: Received) => {
    if (reader.broke) throw reader.broke.cause
    checkReceived(received, key.digest, options.expectedBytes)
  }
  const how = {
    algorithm: algorithmOf(key.digest),
    threads,
    check,
    small: small ? 'none' : 'flushed',
    there: options.there && pathOf(root, options.there),
  } as const
  try {
    const { sizeBytes, bytes, isSame } = await receiveFile(staged, reader, how)
    if (isSame) {
      // Nothing goes to the place, but a name that takes no pushes is refused all the same.
      await place
      return { sizeBytes, modifiedAt: new Date(), isThere: true }
    }
    if (small && bytes) return await small.put({ bytes }, await place)
    return await commit(staged, await place, sizeBytes)
  } catch (error) {
    await removeFile(staged)
    throw error
  } finally {
    reader.stop()
  }
}

function pathOf(root: string, there: () => Promise<BlobKey | undefined>): () => Promise<string | undefined> {
  return async () => {
    const key = await there()
    return key && join(root, blobPath(key))
  }
}

async function writePart(
  { root, threads, small }: Store,
  id: string,
  startOffset: number,
  source: AsyncIterable<Uint8Array>,
  options: PartOptions,
): Promise<StagedPart> {
  const path = join(root, partPath(id))
  const reader = readSource(source, options)
  try {
    if (small?.parts.has(id)) throw new BlobStoreError('conflict', `part ${id} exists already: use a new id`)
    const how = { algorithm: 'sha256', threads, check: accept, small: small ? 'none' : 'flushed' } as const
    const { sizeBytes, hex, bytes } = await receiveFile(path, reader, how)
    const part = { id, startOffset, sizeBytes, sha256: hex }
    // With a journal a small one is hashed again if it has to be read, so that its loss is seen.
    if (bytes) await small?.parts.add(part, bytes, (kept) => writeUnflushed(path, kept))
    if (reader.broke) throw new PartInterrupted(part, reader.broke.cause)
    return part
  } catch (error) {
    // A file that was there before this call is the part of another one.
    if (!(error instanceof PartInterrupted) && errnoOf(error) !== 'EEXIST') await removeFile(path)
    throw storeFailure(`stage part ${id}`, error)
  } finally {
    reader.stop()
  }
}

async function publish(
  store: Store,
  parts: readonly StagedPart[],
  key: BlobKey,
  signal: AbortSignal | undefined,
): Promise<BlobStat> {
  signal?.throwIfAborted()
  const ordered = inOrder(parts)
  const sizeBytes = totalBytes(ordered)
  const whole = wholePart(ordered, key)
  if (whole) {
    const staged = join(store.root, partPath(whole.id))
    const recent = await store.small?.parts.take(whole)
    if (store.small && recent)
      return store.small.put({ bytes: recent.bytes, part: recent.hasFile ? staged : undefined }, key)
    const stats = await statPath(staged)
    // One that is not flushed is not moved into its place: its bytes are read again, and go through the journal.
    const isFlushed = !store.small || sizeBytes > inlineBytes
    if (stats?.size === sizeBytes && isFlushed) return store.commit(staged, key, sizeBytes)
    const published = stats ? undefined : await statBlob(store.root, key)
    if (published?.sizeBytes === sizeBytes) return published
    if (!stats) throw new BlobStoreError('missing_part', `part ${whole.id} is gone; start the upload again`)
  }
  return writeBlob(store, key, readParts(store.root, ordered, store.small?.parts), { signal, expectedBytes: sizeBytes })
}

async function giveWay({ root, folders, healing }: Store, own: BlobKey, counting: BlobKey): Promise<void> {
  const [ours, theirs] = await Promise.all([statBlob(root, own), statBlob(root, counting)])
  // Another try of the same push has done it.
  if (!ours) return
  const path = join(root, blobPath(own))
  const { sizeBytes } = ours
  const kept = { staged: path, key: counting, sizeBytes }
  if (theirs?.sizeBytes !== sizeBytes) await replaceFile(root, folders, path, counting)
  else if (sizeBytes <= comparedAtOnceBytes) await healing.compare(kept)
  else await healing.keep(kept)
}

// A part is whatever it is; its hash is recorded and compared when it is published.
function accept(): void {
  return undefined
}

async function* translated<T>(what: string, items: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* items
  } catch (cause) {
    throw storeFailure(what, cause)
  }
}
