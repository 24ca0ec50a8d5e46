import { createHash } from 'node:crypto'
import path from 'node:path'
import { algorithmOf, type Digest, hexOf } from '@berth/oci'
import { BadArchive } from './bad-archive.ts'
import { type BlobPlaces, createBlobPlaces } from './blob-places.ts'
import type { ByteSource } from './byte-source.ts'
import { openFile } from './file-source.ts'
import { blobName, indexName, layoutName, listName, ociIndexName, signatureName } from './member-names.ts'
import { readFolder } from './read-folder.ts'
import { type Member, readTar } from './read-tar.ts'

/** An archive whose structure was read: what lies in it, and where. Nothing in it is verified yet. */
export type Archive = {
  /** What the members that are no blobs are called. */
  names: ReadonlySet<string>
  blobs: BlobPlaces
  sizeOf(name: string): number | undefined
  /** A small member, whole. */
  read(name: string, limitBytes: number): Promise<Buffer>
  stream(name: string, signal?: AbortSignal): AsyncIterable<Buffer>
  /** Throws `BadArchive` where it is missing. The digest is for the reader to check. */
  streamBlob(digest: Digest, signal?: AbortSignal): AsyncIterable<Buffer>
  /** Where a blob lies, for people. */
  placeOf(digest: Digest): string
  /** Where a member lies, and whether it is a link. */
  member(name: string): Member | undefined
  close(): Promise<void>
}

/** Reads the structure of a layout in a folder. */
export async function openFolder(root: string, signal?: AbortSignal): Promise<Archive> {
  const blobs = createBlobPlaces()
  const members = await readFolder(root, blobs, signal)
  const stream = async function* (name: string, sizeBytes: number, aborts?: AbortSignal) {
    const file = await openFile(path.join(root, name), name)
    try {
      if (file.sizeBytes !== sizeBytes) throw new BadArchive(name, 'has changed its size while it was read')
      yield* file.stream(0, sizeBytes, aborts)
    } finally {
      await file.close()
    }
  }
  return archiveOf({
    blobs,
    members: new Map([...members].map(([name, { sizeBytes }]) => [name, { name, sizeBytes, offset: 0 }])),
    stream: ({ name, sizeBytes }, aborts) => stream(name, sizeBytes, aborts),
    placeOf: ({ name }) => name,
    close: async () => {},
  })
}

/** Reads the structure of a tar. One that Berth wrote must be as it was written, byte for byte. */
export async function openTar(source: ByteSource, signal?: AbortSignal): Promise<Archive> {
  const blobs = createBlobPlaces()
  const { members, odd, isOwn } = await readTar(source, blobs, signal)
  const isBerths = members.has(indexName)
  if (isBerths && isOwn) {
    if (odd) throw odd
    requireOrder(members, blobs)
  }
  const link = [...members.values()].find((member) => member.link !== undefined)
  // Archives of docker have links to layers that were there before; names of members are all that they are used as.
  if (link && !members.has('manifest.json'))
    throw new BadArchive(source.placeOf(link.offset), `has ${link.name}, a link`)
  return archiveOf({
    blobs,
    members,
    stream: ({ offset, sizeBytes }, aborts) => source.stream(offset, sizeBytes, aborts),
    placeOf: ({ name, offset }) => `${name} (${source.placeOf(offset)})`,
    close: () => source.close(),
  })
}

/** Berth writes its members in one order, so that the same content gives the same bytes. */
function requireOrder(members: ReadonlyMap<string, Member>, blobs: BlobPlaces): void {
  const lists = [...members.keys()].filter((name) => name.startsWith('berth/'))
  const wanted = [
    layoutName,
    indexName,
    ...(members.has(signatureName) ? [signatureName] : []),
    ...lists.map((_name, at) => listName(at + 1)),
    ociIndexName,
  ]
  for (const [at, name] of [...members.keys()].entries())
    if (name !== wanted[at]) throw new BadArchive(name, `stands where ${wanted[at] ?? 'nothing'} is to be`)
  if (members.size < wanted.length) throw new BadArchive(wanted[members.size] ?? '', 'is missing')
  const last = Math.max(...[...members.values()].map(({ offset }) => offset))
  if (blobs.first !== undefined && blobs.first.offset < last)
    throw new BadArchive('blobs', 'stand before what tells of them')
  if (!blobs.wereInOrder) throw new BadArchive('blobs', 'are not in the order of their digests')
}

type Parts = {
  blobs: BlobPlaces
  members: ReadonlyMap<string, Member>
  stream: (member: Member, signal?: AbortSignal) => AsyncIterable<Buffer>
  placeOf: (member: Member) => string
  close: () => Promise<void>
}

function archiveOf({ blobs, members, stream, placeOf, close }: Parts): Archive {
  const memberOf = (name: string): Member => {
    const member = members.get(name)
    if (!member) throw new BadArchive(name, 'is missing')
    if (member.link !== undefined) throw new BadArchive(name, 'is a link')
    return member
  }
  const blobOf = (digest: Digest): Member => {
    const place = blobs.find(digest)
    if (!place) throw new BadArchive(blobName(digest), 'is missing')
    return { name: blobName(digest), ...place }
  }
  return {
    names: new Set(members.keys()),
    blobs,
    sizeOf: (name) => members.get(name)?.sizeBytes,
    read: async (name, limitBytes) => {
      const member = memberOf(name)
      if (member.sizeBytes > limitBytes) throw new BadArchive(placeOf(member), `has more than ${limitBytes} bytes`)
      return collect(stream(member))
    },
    stream: (name, signal) => stream(memberOf(name), signal),
    streamBlob: (digest, signal) => stream(blobOf(digest), signal),
    placeOf: (digest) => placeOf(blobOf(digest)),
    member: (name) => members.get(name),
    close,
  }
}

/** A small blob, whole and verified. Throws `BadArchive` for one that is not what its digest says. */
export async function readBlob(archive: Archive, digest: Digest, limitBytes: number): Promise<Buffer> {
  const place = archive.blobs.find(digest)
  if (place && place.sizeBytes > limitBytes)
    throw new BadArchive(archive.placeOf(digest), `has more than ${limitBytes} bytes`)
  const bytes = await collect(archive.streamBlob(digest))
  if (createHash(algorithmOf(digest)).update(bytes).digest('hex') !== hexOf(digest)) throw notItsDigest(archive, digest)
  return bytes
}

/** Reads a blob to its end. Throws `BadArchive` for one that is not what its digest says. */
export async function verifyBlob(
  archive: Archive,
  digest: Digest,
  { signal, onBytes }: { signal?: AbortSignal; onBytes?: (count: number) => void } = {},
): Promise<void> {
  const hash = createHash(algorithmOf(digest))
  for await (const chunk of archive.streamBlob(digest, signal)) {
    hash.update(chunk)
    onBytes?.(chunk.length)
  }
  if (hash.digest('hex') !== hexOf(digest)) throw notItsDigest(archive, digest)
}

export function notItsDigest(archive: Archive, digest: Digest): BadArchive {
  return new BadArchive(archive.placeOf(digest), `is damaged: its bytes are not those of ${digest}`)
}

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}
