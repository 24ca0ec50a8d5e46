import { type Digest, isSchema1Type, isUnsureEntry } from '@berth/oci'
import type { BlobLine, NeededBlob } from './blob-line.ts'
import type { Choice, ChosenIndexes } from './choose-children.ts'

/** The manifests that a run fetched or looked into, and what lies below them. */
export type Graph = {
  manifests: Set<Digest>
  blobs: Map<Digest, NeededBlob>
  indexes: ChosenIndexes
  /** What names a manifest or a blob. */
  namedBy: Map<Digest, Digest[]>
  /** Manifests that an index leaves open, and upstream says that they are some. */
  settled: Set<Digest>
  /** Where to tell of blobs that upstream has, while they are fetched already. */
  line?: BlobLine | undefined
}

/** Makes a graph with nothing in it yet. */
export function createGraph(line?: BlobLine): Graph {
  return { manifests: new Set(), blobs: new Map(), indexes: new Map(), namedBy: new Map(), settled: new Set(), line }
}

/** Adds what is wanted of a manifest to the graph. Answers the manifests that were not there. */
export function addBelow(
  graph: Graph,
  { record, wanted }: Choice,
  { includeForeignLayers }: { includeForeignLayers: boolean },
): Digest[] {
  const { manifests, blobs, line } = graph
  const below: Digest[] = []
  for (const one of wanted) {
    const { role, digest, sizeBytes, optional, urls } = one
    if (optional && !(includeForeignLayers && urls)) continue
    if (role === 'manifest' && isUnsureEntry(one)) graph.settled.add(digest)
    addName(graph, digest, record.digest)
    const known = blobs.get(digest)
    const said = isSchema1Type(record.mediaType) ? known?.sizeBytes : sizeBytes
    const isLayer = role === 'layer' && known?.isLayer !== false
    if (role !== 'manifest') {
      const blob = { digest, sizeBytes: said, isLayer, ...(urls ? { urls } : {}) }
      blobs.set(digest, blob)
      if (!known && said !== undefined && !urls) line?.add(blob)
    } else if (!manifests.has(digest)) {
      manifests.add(digest)
      below.push(digest)
    }
  }
  return below
}

/** Notes that a manifest names another one, or a blob. */
export function addName({ namedBy }: Graph, digest: Digest, by: Digest): void {
  const names = namedBy.get(digest)
  if (names) names.push(by)
  else namedBy.set(digest, [by])
}
