import type { Digest } from '@berth/oci'
import type { Archive } from './archive.ts'
import { BadArchive } from './bad-archive.ts'
import type { BroughtRepository, Plain } from './brought.ts'
import { digestOf, type Given, has, listOf, objectIn, objectOf, textOf } from './checks.ts'
import { createImageGraph } from './image-graph.ts'
import { type ImageName, readImageName } from './image-names.ts'
import type { ListLine } from './list-lines.ts'
import { ociIndexName } from './member-names.ts'

/** An image that an archive names, and what it is called there. */
export type NamedImage = ImageName & { digest: Digest }

const indexLimitBytes = 4 << 20
/** Names of images that are taken out of one archive. */
export const mostImages = 10_000

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

/** What images are made of, by repositories. The lines of one are made anew each time they are read: memory has one of each thing. */
export async function bring(
  archive: Archive,
  images: readonly NamedImage[],
  signal?: AbortSignal,
): Promise<{ repositories: BroughtRepository[]; notes: string[] }> {
  const notes: string[] = []
  const repositories: BroughtRepository[] = []
  const graph = createImageGraph(archive)
  for (const [name, tags] of tagsOf(images)) {
    const roots = [...new Set(tags.values())]
    const missing = await graph.add(roots, signal)
    if (missing > 0)
      notes.push(`${missing} images that an index of "${name}" names are not in the archive, and are left out`)
    repositories.push({
      name,
      exported: null,
      lines: async function* (): AsyncGenerator<ListLine> {
        const { manifests, blobs } = graph.closureOf(roots)
        for (const manifest of manifests) yield { manifest, size: graph.sizeOf(manifest) }
        for (const blob of blobs) {
          const { size, foreign } = graph.blob(blob)
          yield { blob, size, ...(foreign ? { foreign } : {}) }
        }
        for (const [tag, digest] of tags) yield { tag, digest }
      },
    })
  }
  return { repositories, notes }
}

/** The tags of repositories, both in order. */
function tagsOf(images: readonly NamedImage[]): [repository: string, tags: Map<string, Digest>][] {
  const repositories = new Map<string, Map<string, Digest>>()
  for (const { repository, tag, digest } of images) {
    const tags = repositories.get(repository) ?? new Map<string, Digest>()
    if ((tags.get(tag) ?? digest) !== digest)
      throw new BadArchive(ociIndexName, `gives one tag of "${repository}" to several images`)
    repositories.set(repository, tags.set(tag, digest))
  }
  return sorted(repositories).map(([name, tags]) => [name, new Map(sorted(tags))])
}

function sorted<Value>(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}

export function parseJson(bytes: Buffer, place: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new BadArchive(place, 'is no JSON')
  }
}
