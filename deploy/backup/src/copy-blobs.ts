import { createHash } from 'node:crypto'
import type { BlobKey, BlobStore } from '@berth/blobs'
import pLimit from 'p-limit'
import type { Listed } from './place.ts'

/** What became of a list of objects. `known` were there before; `missing` are not where they should come from. */
export type Copied = { copied: number; copiedBytes: number; known: number; missing: Listed[] }

const atOnce = 4
const queued = 64

/** Copies what is not there yet from one store into another, which compares each with its digest before it keeps it. */
export async function copyBlobs(
  from: BlobStore,
  to: BlobStore,
  objects: AsyncIterable<Listed> | Iterable<Listed>,
): Promise<Copied> {
  const result: Copied = { copied: 0, copiedBytes: 0, known: 0, missing: [] }
  await forEach(objects, async (object) => {
    if ((await to.stat(object))?.sizeBytes === object.sizeBytes) {
      result.known++
      return
    }
    const source = await from.open(object)
    if (!source) {
      result.missing.push(object)
      return
    }
    try {
      await to.write(keyOf(object), source.stream(), { expectedBytes: object.sizeBytes })
    } finally {
      await source.close()
    }
    result.copied++
    result.copiedBytes += object.sizeBytes
  })
  await to.compared()
  return result
}

/** Reads all bytes of a list of objects. Answers those that are missing or are not what their digest says. */
export async function findDamage(store: BlobStore, objects: AsyncIterable<Listed>): Promise<Listed[]> {
  const damaged: Listed[] = []
  await forEach(objects, async (object) => {
    if (!(await isSound(store, object))) damaged.push(object)
  })
  return damaged
}

async function isSound(store: BlobStore, object: Listed): Promise<boolean> {
  const open = await store.open(object)
  if (!open) return false
  const [algorithm = ''] = object.digest.split(':', 1)
  const hash = createHash(algorithm)
  try {
    for await (const chunk of open.stream()) hash.update(chunk as Uint8Array)
  } finally {
    await open.close()
  }
  return open.sizeBytes === object.sizeBytes && object.digest === `${algorithm}:${hash.digest('hex')}`
}

/** Some at a time, and few of a list of millions in memory; the first failure ends it. */
async function forEach(objects: AsyncIterable<Listed> | Iterable<Listed>, work: (object: Listed) => Promise<void>) {
  const limit = pLimit(atOnce)
  let batch: Promise<void>[] = []
  for await (const object of objects) {
    batch.push(limit(work, object))
    if (batch.length < queued) continue
    await Promise.all(batch)
    batch = []
  }
  await Promise.all(batch)
}

function keyOf({ digest, generation }: BlobKey): BlobKey {
  return { digest, generation }
}
