import { type Digest, manifestLimitBytes, OciError, type ParsedManifest, parsePushed } from '@berth/oci'
import { type Archive, readBlob } from './archive.ts'
import { BadArchive } from './bad-archive.ts'
import { blobName, ociIndexName } from './member-names.ts'

/** What images consist of. */
export type Closure = { manifests: Digest[]; blobs: Digest[]; missing: number }
type Node = { size: number; children: Digest[]; blobs: Digest[]; missing: number }

// What one image may consist of, as of a push (docs/guarantees.md#bombs).
const mostNesting = 16
/** Of all images under all their names: one image may be named ten thousand times, and each name is work. */
const mostReferences = 500_000

/**
 * The manifests of an archive of another tool, with what they name. Each is read once and kept once, however many images, tags and
 * repositories lead to it. Throws `BadArchive` with the place, also for what would take very much memory or time.
 */
export function createImageGraph(archive: Archive) {
  const nodes = new Map<Digest, Node>()
  const blobs = new Map<Digest, { size: number; foreign: boolean }>()
  const read = spender()
  const walked = spender()

  const load = async (digest: Digest, depth: number, signal?: AbortSignal): Promise<void> => {
    if (nodes.has(digest)) return
    signal?.throwIfAborted()
    if (depth > mostNesting) throw new BadArchive(blobName(digest), `is nested deeper than ${mostNesting} levels`)
    const bytes = await readBlob(archive, digest, manifestLimitBytes)
    archive.blobs.mark(digest)
    const { children, named, missing } = sortReferences(archive, digest, parseAt(archive, digest, bytes))
    read(1 + children.length + named.size)
    for (const [child, blob] of named) if (!blobs.has(child)) blobs.set(child, blob)
    nodes.set(digest, { size: bytes.length, children, blobs: [...named.keys()], missing })
    for (const child of children) await load(child, depth + 1, signal)
  }

  const walk = (roots: readonly Digest[], onStep: (count: number) => void): Closure => {
    const manifests = new Set<Digest>(roots)
    const found = new Set<Digest>()
    let missing = 0
    for (const digest of manifests) {
      const node = nodes.get(digest)
      if (!node) throw new Error(`${digest} was not read`)
      onStep(1 + node.children.length + node.blobs.length)
      missing += node.missing
      for (const child of node.children) manifests.add(child)
      for (const blob of node.blobs) found.add(blob)
    }
    return { manifests: [...manifests].sort(), blobs: [...found].sort(), missing }
  }

  return {
    /** Reads what images consist of. Answers how many manifests their indexes name that are not in the archive. */
    async add(roots: readonly Digest[], signal?: AbortSignal): Promise<number> {
      for (const root of roots) await load(root, 0, signal)
      return walk(roots, walked).missing
    },
    /** What images consist of that were added, in the order of their digests. It is not kept. */
    closureOf: (roots: readonly Digest[]): Closure => walk(roots, () => {}),
    sizeOf: (manifest: Digest): number => nodes.get(manifest)?.size ?? 0,
    blob: (digest: Digest) => blobs.get(digest) ?? { size: 0, foreign: false },
  }
}

/** Counts up to what is taken. */
function spender(): (count: number) => void {
  let spent = 0
  return (count) => {
    spent += count
    if (spent > mostReferences)
      throw new BadArchive(
        ociIndexName,
        `leads to more than ${mostReferences} manifests and blobs, counted under each name: carry them in several archives`,
      )
  }
}

function sortReferences(archive: Archive, digest: Digest, { references }: ParsedManifest) {
  const children = new Set<Digest>()
  const absent = new Set<Digest>()
  const named = new Map<Digest, { size: number; foreign: boolean }>()
  for (const { role, digest: child, sizeBytes: size, optional } of references) {
    if (role === 'subject') continue
    const carried = archive.blobs.find(child)
    if (role === 'manifest') {
      const those = carried ? children : absent
      those.add(child)
      continue
    }
    if (carried) {
      archive.blobs.mark(child)
      if (carried.sizeBytes !== size)
        throw new BadArchive(archive.placeOf(child), `has ${carried.sizeBytes} bytes, and ${digest} says ${size}`)
    } else if (!optional) throw new BadArchive(blobName(child), `is missing, which ${digest} names`)
    named.set(child, { size, foreign: !carried })
  }
  return { children: [...children], named, missing: absent.size }
}

/** Judges a manifest of an archive, as a push with this type does. Throws `BadArchive` with its place. */
export function parseAt(archive: Archive, digest: Digest, bytes: Buffer, mediaType?: string): ParsedManifest {
  try {
    return parsePushed(bytes, mediaType)
  } catch (error) {
    if (error instanceof OciError)
      throw new BadArchive(archive.placeOf(digest), `is no manifest that is taken: ${error.message}`)
    throw error
  }
}
