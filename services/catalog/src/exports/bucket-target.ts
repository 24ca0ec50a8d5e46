import type { BlobStore } from '@berth/blobs'
import { Problem } from '@berth/service'
import { formOf, type Target } from './target.ts'

type Wanted = { id: string; path: string; chunkBytes: number | null }

/** Refuses what is there already, before anything is done. */
export async function requireFreeInBucket(blobs: BlobStore, path: string): Promise<void> {
  if (!(await blobs.hasTransfers(path))) return
  throw new Problem(409, 'target_exists', `There is a "${path}" under transfer/ already.`, {
    field: 'to.path',
    hint: 'Choose another path, or remove what is there.',
  })
}

/**
 * An export under `transfer/` of the blob store. A bucket has no way to show many objects together: those of a layout and of parts are there
 * one after the other, `index.json` or the checksums last but for blobs; the export says when it is complete.
 */
export function bucketTarget(blobs: BlobStore, wanted: Wanted): Target {
  const { path } = wanted
  const isFile = formOf(wanted) === 'archive'
  return {
    requireFree: () => requireFreeInBucket(blobs, path),
    begin: async () => void (await blobs.removeTransfers(path)),
    write: async (name, source, sizeBytes) =>
      void (await blobs.writeTransfer(isFile ? path : `${path}/${name}`, copied(source), {
        expectedBytes: sizeBytes,
      })),
    finish: async () => undefined,
    // What was sealed was written before.
    isFinished: () => blobs.hasTransfers(path),
    discard: async () => void (await blobs.removeTransfers(path)),
  }
}

/** Chunks of their own: the store keeps some of them until more come, and these are lent. */
async function* copied(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) yield Buffer.from(chunk)
}
