import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, hexOf, manifestLimitBytes } from '@berth/oci'
import type { Archive } from './archive.ts'
import { BadArchive } from './bad-archive.ts'
import { createBlobPlaces } from './blob-places.ts'
import type { Counts, ExportedRepository } from './document.ts'
import { createLineReader, type ListLine, lineLimitBytes } from './list-lines.ts'
import { blobName } from './member-names.ts'

/**
 * Reads what a repository of an archive has, line by line, and compares it with what the archive carries and with what the index says of
 * it. Nothing of it is certain before the last line was read: then digest and counts are known to be right.
 */
export async function* readList(
  archive: Archive,
  { contents, version, since }: ExportedRepository,
  signal?: AbortSignal,
): AsyncGenerator<ListLine> {
  const { member, digest, size } = contents
  if (archive.sizeOf(member) !== size) {
    const has = archive.sizeOf(member)
    throw new BadArchive(member, has === undefined ? 'is missing' : `has ${has} bytes, and the index says ${size}`)
  }
  const hash = createHash(algorithmOf(digest))
  const read = createLineReader(member)
  const check = createLineCheck(archive, member, since !== undefined)
  const counts: Counts = { tags: 0, manifests: 0, blobs: 0, signatures: 0 }
  let lines = 0
  for await (const text of linesOf(archive.stream(member, signal), member, (bytes) => hash.update(bytes))) {
    const line = read(text)
    lines++
    counts['manifest' in line ? 'manifests' : 'blob' in line ? 'blobs' : 'tag' in line ? 'tags' : 'signatures']++
    check(line, `${member}:${lines}`)
    yield line
  }
  if (hash.digest('hex') !== hexOf(digest))
    throw new BadArchive(member, `is damaged: its bytes are not those of ${digest}`)
  if (lines !== contents.lines) throw new BadArchive(member, `has ${lines} lines, and the index says ${contents.lines}`)
  // Foreign layers that nobody stores are no blobs of a version.
  for (const [kind, count] of Object.entries(version.counts))
    if (kind !== 'blobs' && counts[kind as keyof Counts] !== count)
      throw new BadArchive(member, `has ${counts[kind as keyof Counts]} ${kind}, and the index says ${count}`)
}

/** Compares lines with what the archive carries, and with each other: a tag stands for a manifest of the same list. */
function createLineCheck(archive: Archive, member: string, hasBase: boolean): (line: ListLine, place: string) => void {
  const manifests = createBlobPlaces()
  let isSettled = false
  const requireManifest = (digest: Digest, place: string) => {
    if (!isSettled) manifests.settle()
    isSettled = true
    if (!manifests.find(digest)) throw new BadArchive(place, `names ${digest}, which is no manifest of ${member}`)
  }
  const requireCarried = (digest: Digest, sizeBytes: number, place: string) => {
    const carried = archive.blobs.find(digest)
    if (!carried || !archive.blobs.mark(digest))
      throw new BadArchive(blobName(digest), `is missing, which ${place} names`)
    if (carried.sizeBytes !== sizeBytes)
      throw new BadArchive(archive.placeOf(digest), `has ${carried.sizeBytes} bytes, and ${place} says ${sizeBytes}`)
  }
  return (line, place) => {
    if ('held' in line && !hasBase)
      throw new BadArchive(`${place}.held`, `stands in what is no delta: there is no base that could have it`)
    if ('tag' in line || 'signature' in line) return requireManifest(line.digest, place)
    if ('manifest' in line) {
      if (line.size > manifestLimitBytes)
        throw new BadArchive(place, `names a manifest of more than ${manifestLimitBytes} bytes`)
      manifests.add(line.manifest, { offset: 0, sizeBytes: line.size })
      if (!line.held) requireCarried(line.manifest, line.size, place)
      return
    }
    if (!line.held && !line.foreign) requireCarried(line.blob, line.size, place)
  }
}

async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  member: string,
  onBytes: (bytes: Buffer) => void,
): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0)
  let number = 1
  for await (const chunk of chunks) {
    onBytes(chunk)
    let from = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      const part = chunk.subarray(from, end)
      yield (rest.length > 0 ? Buffer.concat([rest, part]) : part).toString('utf8')
      rest = Buffer.alloc(0)
      from = end + 1
      number++
    }
    rest = Buffer.concat([rest, chunk.subarray(from)])
    if (rest.length > lineLimitBytes)
      throw new BadArchive(`${member}:${number}`, `has more than ${lineLimitBytes} bytes`)
  }
  if (rest.length > 0) throw new BadArchive(`${member}:${number}`, 'breaks off')
}
