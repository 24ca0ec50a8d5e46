import type { Digest } from '@berth/oci'
import { createBlobLine, type NeededBlob } from './blob-line.ts'
import { type BlobCounts, copyBlobs } from './copy-blobs.ts'
import { type Copying, emptyGraph, type Graph } from './copy-manifests.ts'
import { inParallel } from './in-parallel.ts'

/** Blobs that came while manifests were still looked for. */
export type Brought = { needed: ReadonlyMap<Digest, NeededBlob>; counts: BlobCounts }

/**
 * Looks for manifests, and brings the blobs that they name as soon as it is known of them where they lie and how long they are: manifests
 * are work for us, blobs for upstream and the disk. When one of both fails the other is stopped, and that failure goes on.
 */
export async function bringWhileFound<T>(
  copying: Copying,
  find: (copying: Copying, graph: Graph) => Promise<T>,
): Promise<{ found: T; brought: Brought }> {
  const line = createBlobLine()
  let found: { value: T } | undefined
  let counts: BlobCounts | undefined
  const finding = async (signal: AbortSignal) => {
    try {
      found = { value: await find({ ...copying, signal }, emptyGraph(line)) }
    } finally {
      line.end()
    }
  }
  const bringing = async (signal: AbortSignal) => {
    counts = await copyBlobs(copying, line, signal)
  }
  await inParallel([finding, bringing], 2, copying.signal, (work, both) => work(both))
  if (!found || !counts) throw new Error('neither failed, and yet one of both has no result')
  return { found: found.value, brought: { needed: line.needed, counts } }
}
