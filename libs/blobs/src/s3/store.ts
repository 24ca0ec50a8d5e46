import { algorithmOf } from '@berth/oci'
import { createHashThreads, type HashThreads } from '../hashing/hash-threads.ts'
import { BlobStoreError, PartInterrupted } from '../store/errors.ts'
import { comparedAtOnceBytes, createHealing, type Healing } from '../store/healing.ts'
import { inOrder, totalBytes, wholePart } from '../store/parts.ts'
import { blobPath, partPath, transferPath } from '../store/paths.ts'
import { blobKeyOf } from '../store/pending-key.ts'
import { readSource } from '../store/source-reader.ts'
import type {
  BlobKey,
  BlobStat,
  BlobStore,
  HealingReport,
  PartOptions,
  PendingKey,
  PublishOptions,
  StagedPart,
  WriteOptions,
} from '../store/store.ts'
import { checkReceived, checkSize } from '../store/verify.ts'
import { copyObject } from './copy.ts'
import { getNote, putNote } from './notes.ts'
import { openByReading, openObject } from './open-object.ts'
import { readObject } from './read-object.ts'
import { receiveObject } from './receive.ts'
import { connectS3, type S3, type S3Options } from './requests.ts'
import { testBucket } from './self-test.ts'
import { hasTransfers, removeTransfers } from './transfers.ts'
import { discardPart, removeObject, walkBlobs, walkLeftovers } from './walk.ts'

type Store = { s3: S3; threads: HashThreads; healing: Healing }

// S3's own limit for the parts of a multipart upload; clients with chunks for other registries have at least this.
const leastPartBytes = 5 << 20

/** A blob store in a bucket of S3 or of a server that speaks its API. Makes no request before `check`. */
export function createS3Store(
  options: S3Options & { hear?: ((report: HealingReport) => void) | undefined },
): BlobStore & Required<Pick<BlobStore, 'presignedUrl'>> {
  const s3 = connectS3(options)
  const threads = createHashThreads()
  const open: BlobStore['open'] = async (key, first) => {
    const object = { key: blobPath(key), name: key.digest }
    const begun = first ? await openByReading(s3, object, first) : 'unclear'
    if (begun !== 'unclear') return begun
    const found = await statObject(s3, object.key)
    return found && openObject(s3, { ...object, sizeBytes: found.sizeBytes })
  }
  const healing = createHealing({
    open,
    replace: (staged, key) => copyPart(s3, staged, blobPath(key)),
    discard: (staged) => discardPart(s3, staged),
    hear: options.hear,
  })
  const store: Store = { s3, threads, healing }
  return {
    preferredChunkBytes: leastPartBytes,
    movesParts: false,
    keepsSmallParts: false,
    check: () => testBucket(s3),
    stat: async (key) => statObject(s3, blobPath(key)),
    open,
    write: (key, source, how = {}) => writeBlob(store, key, source, how),
    writePart: (id, startOffset, source, how = {}) => writePart(store, id, startOffset, source, how),
    publish: (parts, key, how = {}) => publish(store, parts, key, how),
    giveWay: (own, counting) => giveWay(store, own, counting),
    async discardParts(ids) {
      for (const path of ids.map(partPath)) if (!healing.keeps(path)) await discardPart(s3, path)
    },
    remove: async (key) => removeObject(s3, blobPath(key)),
    walk: ({ signal } = {}) => walkBlobs(s3, signal),
    walkStaged: ({ olderThan, signal }) => walkLeftovers(s3, olderThan, signal),
    writeTransfer: (path, source, how = {}) => writeTransfer(store, transferPath(path), source, how),
    hasTransfers: (path) => hasTransfers(s3, transferPath(path)),
    removeTransfers: (path) => removeTransfers(s3, transferPath(path)),
    readNote: (name) => getNote(s3, name),
    writeNote: (name, text) => putNote(s3, name, text),
    presignedUrl: async (key, ttlSeconds) => s3.presign(blobPath(key), ttlSeconds),
    compared: () => healing.idle(),
    async close() {
      await healing.close()
      s3.close()
      await threads.close()
    },
  }
}

async function statObject(s3: S3, path: string, signal?: AbortSignal): Promise<BlobStat | undefined> {
  const found = await s3.find(`look up ${path}`, { signal }, (client) => client.statObject(s3.bucket, path))
  return found && { sizeBytes: found.size, modifiedAt: found.lastModified }
}

async function writeBlob(
  { s3, threads }: Store,
  key: PendingKey,
  source: AsyncIterable<Uint8Array>,
  how: WriteOptions,
): Promise<BlobStat> {
  const path = blobPath(await blobKeyOf(key))
  const reader = readSource(source, how)
  try {
    const { sizeBytes } = await receiveObject(s3, path, reader, {
      algorithm: algorithmOf(key.digest),
      threads,
      signal: how.signal,
      waiting: how.signal,
      check(received) {
        if (reader.broke) throw reader.broke.cause
        checkReceived(received, key.digest, how.expectedBytes)
      },
    })
    return await confirm(s3, path, sizeBytes)
  } finally {
    reader.stop()
  }
}

async function writeTransfer(
  { s3, threads }: Store,
  path: string,
  source: AsyncIterable<Uint8Array>,
  how: WriteOptions,
): Promise<BlobStat> {
  const reader = readSource(source, how)
  try {
    const { sizeBytes } = await receiveObject(s3, path, reader, {
      algorithm: 'sha256',
      threads,
      signal: how.signal,
      waiting: how.signal,
      check(received) {
        if (reader.broke) throw reader.broke.cause
        checkSize(received, how.expectedBytes)
      },
    })
    return await confirm(s3, path, sizeBytes)
  } finally {
    reader.stop()
  }
}

// Some servers have acknowledged objects that they then did not have, or had at another size.
async function confirm(s3: S3, path: string, sizeBytes: number): Promise<BlobStat> {
  const found = await statObject(s3, path)
  if (found?.sizeBytes === sizeBytes) return found
  if (found) await removeObject(s3, path)
  const seen = found ? `has ${found.sizeBytes} bytes of it` : 'does not have it'
  throw new BlobStoreError('damaged', `the object store acknowledged ${sizeBytes} bytes of ${path} but ${seen}`)
}

async function writePart(
  { s3, threads }: Store,
  id: string,
  startOffset: number,
  source: AsyncIterable<Uint8Array>,
  how: PartOptions,
): Promise<StagedPart> {
  const path = partPath(id)
  if (await statObject(s3, path)) {
    throw new BlobStoreError('conflict', `part ${id} exists already: use a new id`)
  }
  const reader = readSource(source, how)
  try {
    // No signal: an abort ends the source, and what had come of it is still to be stored.
    const { sizeBytes, hex } = await receiveObject(s3, path, reader, {
      algorithm: 'sha256',
      threads,
      signal: undefined,
      waiting: how.signal,
      check: accept,
    })
    const part = { id, startOffset, sizeBytes, sha256: hex }
    if (reader.broke) throw new PartInterrupted(part, reader.broke.cause)
    return part
  } finally {
    reader.stop()
  }
}

// A part is whatever it is; its hash is recorded and compared when it is published.
function accept(): void {
  return undefined
}

async function publish(
  store: Store,
  parts: readonly StagedPart[],
  key: BlobKey,
  { signal, isThere = false }: PublishOptions,
): Promise<BlobStat> {
  signal?.throwIfAborted()
  const { s3, healing } = store
  const path = blobPath(key)
  const ordered = inOrder(parts)
  const sizeBytes = totalBytes(ordered)
  const whole = wholePart(ordered, key)
  if (whole) {
    const staged = await statObject(s3, partPath(whole.id), signal)
    if (staged?.sizeBytes === sizeBytes) {
      // Copied only when it is needed: a copy of gigabytes takes its time, and a client waits for the answer.
      const there = isThere ? await statObject(s3, path, signal) : undefined
      if (there?.sizeBytes === sizeBytes) {
        await healing.keep({ staged: partPath(whole.id), key, sizeBytes })
        return there
      }
      await copyObject(s3, partPath(whole.id), path, sizeBytes, signal)
      return confirm(s3, path, sizeBytes)
    }
    const published = staged ? undefined : await statObject(s3, path, signal)
    if (published?.sizeBytes === sizeBytes) return published
  }
  return writeBlob(store, key, readParts(s3, ordered, signal), { signal, expectedBytes: sizeBytes })
}

async function giveWay({ s3, healing }: Store, own: BlobKey, counting: BlobKey): Promise<void> {
  const [ours, theirs] = await Promise.all([statObject(s3, blobPath(own)), statObject(s3, blobPath(counting))])
  // Another try of the same push has done it.
  if (!ours) return
  const { sizeBytes } = ours
  if (theirs?.sizeBytes !== sizeBytes) await copyObject(s3, blobPath(own), blobPath(counting), sizeBytes, undefined)
  const kept = { staged: blobPath(own), key: counting, sizeBytes }
  if (sizeBytes <= comparedAtOnceBytes) await healing.compare(kept)
  else await healing.keep(kept)
}

async function copyPart(s3: S3, staged: string, path: string): Promise<void> {
  const part = await statObject(s3, staged)
  if (part) await copyObject(s3, staged, path, part.sizeBytes, undefined)
}

async function* readParts(s3: S3, parts: readonly StagedPart[], signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    const staged = await statObject(s3, partPath(part.id), signal)
    if (!staged) throw new BlobStoreError('missing_part', `part ${part.id} is gone; start the upload again`)
    if (staged.sizeBytes < part.sizeBytes)
      throw new BlobStoreError('damaged', `part ${part.id} is shorter than recorded`)
    const object = { key: partPath(part.id), name: `part ${part.id}`, sizeBytes: part.sizeBytes }
    yield* readObject(s3, object, { start: 0, end: part.sizeBytes - 1 }, { signal })
  }
}
