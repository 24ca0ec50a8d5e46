import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, hexOf } from '@berth/oci'
import type { Archive } from './archive.ts'
import { BadArchive } from './bad-archive.ts'
import type { Contents } from './brought.ts'
import { type IndexDocument, indexLimitBytes, readIndex } from './document.ts'
import { indexName, layoutBytes, layoutName, ociIndexName, signatureName } from './member-names.ts'
import { readDockerArchive } from './read-docker.ts'
import { readList } from './read-list.ts'
import { readLayout } from './read-oci.ts'

const signatureBytes = 64

/** Reads what an archive brings. Lists are read later, and then verified. */
export async function readContents(archive: Archive, signal?: AbortSignal): Promise<Contents> {
  if (archive.names.has(indexName)) return readBerths(archive)
  const plain = archive.names.has(ociIndexName)
    ? await readLayout(archive, signal)
    : archive.names.has('manifest.json')
      ? await readDockerArchive(archive, signal)
      : undefined
  if (!plain)
    throw new BadArchive(
      'the archive',
      `has neither ${indexName} nor ${ociIndexName} nor manifest.json: it is no archive of images`,
    )
  return { origin: null, distributions: [], chartImages: [], signed: null, ...plain }
}

async function readBerths(archive: Archive): Promise<Contents> {
  if (!(await archive.read(layoutName, layoutBytes.length)).equals(layoutBytes))
    throw new BadArchive(layoutName, 'is damaged')
  const document = await archive.read(indexName, indexLimitBytes)
  const index = readIndex(document)
  requireMembers(archive, index)
  await requireBytes(archive, ociIndexName, index.ociIndex)
  const signature = archive.names.has(signatureName) ? await archive.read(signatureName, signatureBytes) : null
  return {
    kind: 'berth',
    archive,
    origin: index.origin,
    repositories: index.repositories.map((exported) => ({
      name: exported.name,
      exported,
      lines: (signal) => readList(archive, exported, signal),
    })),
    distributions: index.distributions ?? [],
    chartImages: index.chartImages ?? [],
    signed: { document, signature },
    notes: [],
  }
}

/** Refuses what the index does not tell of. What is missing is found where it is read. */
function requireMembers(archive: Archive, index: IndexDocument): void {
  const lists = index.repositories.map(({ contents }) => contents.member)
  const known = new Set([layoutName, indexName, signatureName, ociIndexName, ...lists])
  for (const name of archive.names)
    if (!known.has(name)) throw new BadArchive(name, `is nothing that ${indexName} tells of`)
  const { count, bytes } = index.blobs
  if (archive.blobs.count !== count || archive.blobs.bytes !== bytes)
    throw new BadArchive(
      `${indexName}.blobs`,
      `says ${count} of ${bytes} bytes, and there are ${archive.blobs.count} of ${archive.blobs.bytes}`,
    )
}

async function requireBytes(
  archive: Archive,
  name: string,
  { digest, size }: { digest: Digest; size: number },
): Promise<void> {
  const hash = createHash(algorithmOf(digest))
  if (archive.sizeOf(name) === size) for await (const chunk of archive.stream(name)) hash.update(chunk)
  if (hash.digest('hex') !== hexOf(digest))
    throw new BadArchive(name, `is damaged: it is not the one that ${indexName} tells of`)
}

/** Refuses a blob that no list names: it would be carried in unseen. Comes when all lists were read. */
export function requireNamed(archive: Archive): void {
  const unnamed: Digest | undefined = archive.blobs.unmarked()
  if (unnamed) throw new BadArchive(archive.placeOf(unnamed), 'is named by nothing in the archive')
}
