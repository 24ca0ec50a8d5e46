import { type Digest, manifestLimitBytes, OciError, type ParsedManifest, parseManifest } from '@berth/oci'
import { type Archive, readBlob } from './archive.ts'
import { BadArchive } from './bad-archive.ts'
import type { BroughtRepository, Plain } from './brought.ts'
import { digestOf, type Given, has, listOf, objectIn, objectOf, textOf } from './checks.ts'
import { type ImageName, readImageName } from './image-names.ts'
import type { ListLine } from './list-lines.ts'
import { blobName, ociIndexName } from './member-names.ts'

/** An image that an archive names, and what it is called there. */
export type NamedImage = ImageName & { digest: Digest }

const indexLimitBytes = 4 << 20
const mostImages = 10_000
// What one image may consist of, as of a push (docs/guarantees.md#bombs).
const mostManifests = 100_000
const mostNesting = 16

/** Reads a layout that another tool wrote (image-spec, "OCI Image Layout"). */
export async function readLayout(archive: Archive, signal?: AbortSignal): Promise<Plain> {
  const place = ociIndexName
  const index = objectIn(parseJson(await archive.read(place, indexLimitBytes), place), place)
  const images = listOf(index, 'manifests', mostImages, (entry) => ({
    digest: digestOf(entry, 'digest'),
    ...nameOf(entry),
  }))
  if (images.length === 0) throw new BadArchive(place, 'names no image')
  return { kind: 'oci-archive', archive, ...(await bring(archive, images, signal)) }
}

/** What an entry of `index.json` is called: in full by containerd, or by a name or a tag alone. */
function nameOf(entry: Given): ImageName {
  const annotations = has(entry, 'annotations') ? objectOf(entry, 'annotations') : undefined
  const said = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'].flatMap((key) =>
    annotations && has(annotations, key) ? [textOf(annotations, key, 1_000)] : [],
  )
  return readImageName(said[0], `${entry.place}.annotations`)
}

/** What images are made of, by repositories. */
export async function bring(
  archive: Archive,
  images: readonly NamedImage[],
  signal?: AbortSignal,
): Promise<{ repositories: BroughtRepository[]; notes: string[] }> {
  const notes: string[] = []
  const repositories: BroughtRepository[] = []
  for (const name of [...new Set(images.map(({ repository }) => repository))].sort()) {
    const own = images.filter(({ repository }) => repository === name)
    const tags = new Map(own.map(({ tag, digest }) => [tag, digest]))
    if (tags.size < own.length && own.some(({ tag, digest }) => tags.get(tag) !== digest))
      throw new BadArchive(ociIndexName, `gives one tag of "${name}" to several images`)
    const { manifests, blobs, missing } = await closureOf(archive, [...tags.values()], signal)
    if (missing > 0)
      notes.push(`${missing} images that an index of "${name}" names are not in the archive, and are left out`)
    const lines: ListLine[] = [
      ...sorted(manifests).map(([manifest, size]): ListLine => ({ manifest, size })),
      ...sorted(blobs).map(
        ([blob, line]): ListLine => ({ blob, size: line.size, ...(line.foreign ? { foreign: true } : {}) }),
      ),
      ...sorted(tags).map(([tag, digest]): ListLine => ({ tag, digest })),
    ]
    repositories.push({
      name,
      exported: null,
      lines: async function* () {
        yield* lines
      },
    })
  }
  return { repositories, notes }
}

function sorted<Key extends string, Value>(map: ReadonlyMap<Key, Value>): [Key, Value][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}

type Closure = {
  manifests: Map<Digest, number>
  blobs: Map<Digest, { size: number; foreign: boolean }>
  missing: number
}

async function closureOf(archive: Archive, roots: readonly Digest[], signal?: AbortSignal): Promise<Closure> {
  const closure: Closure = { manifests: new Map(), blobs: new Map(), missing: 0 }
  const visit = async (digest: Digest, depth: number): Promise<void> => {
    if (closure.manifests.has(digest)) return
    signal?.throwIfAborted()
    if (depth > mostNesting) throw new BadArchive(blobName(digest), `is nested deeper than ${mostNesting} levels`)
    if (closure.manifests.size >= mostManifests)
      throw new BadArchive(ociIndexName, `leads to more than ${mostManifests} manifests`)
    const bytes = await readBlob(archive, digest, manifestLimitBytes)
    archive.blobs.mark(digest)
    closure.manifests.set(digest, bytes.length)
    for (const reference of parseAt(archive, digest, bytes).references) {
      const { role, digest: child, sizeBytes: size, optional } = reference
      const carried = archive.blobs.find(child)
      if (role === 'subject') continue
      if (role === 'manifest') {
        if (carried) await visit(child, depth + 1)
        else closure.missing++
        continue
      }
      if (carried) {
        archive.blobs.mark(child)
        if (carried.sizeBytes !== size)
          throw new BadArchive(archive.placeOf(child), `has ${carried.sizeBytes} bytes, and ${digest} says ${size}`)
      } else if (!optional) throw new BadArchive(blobName(child), `is missing, which ${digest} names`)
      closure.blobs.set(child, { size, foreign: !carried })
    }
  }
  for (const root of roots) await visit(root, 0)
  return closure
}

/** Judges a manifest of an archive. Throws `BadArchive` with its place. */
export function parseAt(archive: Archive, digest: Digest, bytes: Buffer): ParsedManifest {
  try {
    return parseManifest(bytes)
  } catch (error) {
    if (error instanceof OciError)
      throw new BadArchive(archive.placeOf(digest), `is no manifest that is taken: ${error.message}`)
    throw error
  }
}

export function parseJson(bytes: Buffer, place: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new BadArchive(place, 'is no JSON')
  }
}
