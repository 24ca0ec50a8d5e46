import { createBlobLine } from '../fetch/blob-line.ts'
import { type BlobCounts, type BlobDeps, fetchBlobs } from '../fetch/fetch-blobs.ts'
import type { Fetched } from '../fetch/fetch-by-policy.ts'
import { createGraph, type Graph } from '../fetch/graph.ts'
import { inParallel } from '../fetch/in-parallel.ts'

/**
 * Looks for manifests, and fetches the blobs that they name as soon as it is known where they lie and how long they are: manifests
 * are work for Berth, blobs for upstream and the disk. When one of both fails the other is stopped, and that failure goes on.
 */
export async function fetchWhileFound<T>(
  deps: BlobDeps,
  find: (graph: Graph, signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<{ found: T; fetched: Fetched }> {
  const line = createBlobLine()
  let found: { value: T } | undefined
  let counts: BlobCounts | undefined
  const finding = async (both: AbortSignal) => {
    try {
      found = { value: await find(createGraph(line), both) }
    } finally {
      line.end()
    }
  }
  const fetching = async (both: AbortSignal) => {
    counts = await fetchBlobs(deps, line, signal, both)
  }
  await inParallel([finding, fetching], 2, signal, (work, both) => work(both))
  if (!found || !counts) throw new Error('neither failed, and yet one of both has no result')
  return { found: found.value, fetched: { needed: line.needed, counts } }
}
