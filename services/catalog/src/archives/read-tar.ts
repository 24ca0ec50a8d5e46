import { BadArchive } from './bad-archive.ts'
import type { BlobPlaces } from './blob-places.ts'
import type { ByteSource } from './byte-source.ts'
import { digestOfBlob } from './member-names.ts'
import { type Extended, readHeader, readLongName, readPax, type TarHeader } from './read-header.ts'
import { blockBytes, memberHeader, paddingBytes } from './tar.ts'

/** A member that is no blob. `link`: it is a link, and to where. */
export type Member = { name: string; offset: number; sizeBytes: number; link?: string }
/** What a tar holds. `odd`: the first thing in it that Berth would not have written so. `isOwn`: its first header is as Berth writes it. */
export type TarMembers = { members: Map<string, Member>; odd?: BadArchive | undefined; isOwn: boolean }

// The structure of tars may not take more memory than this lets it.
const mostMembers = 5_000_000
const mostOthers = 100_000
const mostPathBytes = 4_096
const mostExtendedBytes = 64 << 10
const windowBytes = 64 << 10

/**
 * Finds the members of a tar by jumping from header to header; blobs go to `blobs`. Names are checked here, for nobody unpacks them
 * but by what they are called. Throws `BadArchive` with the place.
 */
export async function readTar(source: ByteSource, blobs: BlobPlaces, signal?: AbortSignal): Promise<TarMembers> {
  const members = new Map<string, Member>()
  const take = windowOf(source)
  let odd: BadArchive | undefined
  let isOwn = false
  let count = 0
  for (let at = 0; ; ) {
    signal?.throwIfAborted()
    const found = await nextMember(source, take, at)
    if (!found) {
      odd ??= await afterEnd(source, take, at)
      break
    }
    const { header, bytes, content } = found
    const place = source.placeOf(at)
    const name = cleanName(header, place)
    const end = content + header.sizeBytes
    if (end + paddingBytes(header.sizeBytes) > source.sizeBytes)
      throw new BadArchive(
        source.placeOf(content),
        `breaks off in ${shown(name)}, which is to have ${header.sizeBytes} bytes`,
      )
    const padding = await take(end, paddingBytes(header.sizeBytes))
    const isUsual = bytes.equals(memberHeader(name, header.sizeBytes))
    if (!isUsual || padding.some((byte) => byte !== 0))
      odd ??= new BadArchive(place, `is damaged: ${shown(name)} has a header, or an end, that Berth does not write`)
    if (count === 0) isOwn = isUsual
    if (++count > mostMembers) throw new BadArchive(place, `has more than ${mostMembers} members`)
    keep({ header, name, content, place }, members, blobs)
    at = end + paddingBytes(header.sizeBytes)
  }
  const twice = blobs.settle()
  if (twice) throw new BadArchive(`blobs/${twice.replace(':', '/')}`, 'is there twice')
  return { members, odd, isOwn }
}

type Found = { header: TarHeader; name: string; content: number; place: string }

function keep({ header, name, content, place }: Found, members: Map<string, Member>, blobs: BlobPlaces): void {
  if (header.type === '5') {
    if (header.sizeBytes > 0) throw new BadArchive(place, `has ${shown(name)}, a folder with content`)
    return
  }
  const digest = header.type === '0' ? digestOfBlob(name) : undefined
  if (digest) {
    blobs.add(digest, { offset: content, sizeBytes: header.sizeBytes })
    return
  }
  if (members.has(name)) throw new BadArchive(place, `has ${shown(name)} for the second time`)
  if (members.size >= mostOthers) throw new BadArchive(place, `has more than ${mostOthers} members that are no blobs`)
  const link = header.type === '0' ? {} : { link: header.linkName }
  if ('link' in link && header.sizeBytes > 0) throw new BadArchive(place, `has ${shown(name)}, a link with content`)
  members.set(name, { name, offset: content, sizeBytes: header.sizeBytes, ...link })
}

type Take = (offset: number, length: number) => Promise<Buffer>

/** Reads small pieces that follow each other out of larger ones. */
function windowOf(source: ByteSource): Take {
  let from = 0
  let held: Buffer = Buffer.alloc(0)
  return async (offset, length) => {
    if (length === 0) return Buffer.alloc(0)
    if (offset + length > source.sizeBytes)
      throw new BadArchive(source.placeOf(Math.max(0, source.sizeBytes - 1)), 'is where the tar breaks off')
    if (offset < from || offset + length > from + held.length) {
      held = await source.read(offset, Math.min(Math.max(windowBytes, length), source.sizeBytes - offset))
      from = offset
    }
    return held.subarray(offset - from, offset - from + length)
  }
}

/** The member that begins here, with the bytes of all its headers; `undefined` at the end. */
async function nextMember(
  source: ByteSource,
  take: Take,
  start: number,
): Promise<{ header: TarHeader; bytes: Buffer; content: number } | undefined> {
  let extended: Extended = {}
  const seen = new Set<string>()
  for (let at = start; ; ) {
    const place = source.placeOf(at)
    const block = await take(at, blockBytes)
    if (block.every((byte) => byte === 0)) {
      if (at > start) throw new BadArchive(place, 'ends behind an extended header')
      return undefined
    }
    const header = readHeader(block, place)
    at += blockBytes
    if (!'xgLK'.includes(header.type)) {
      const whole = { ...header, ...extended }
      const content = at
      return { header: whole, bytes: Buffer.from(await take(start, content - start)), content }
    }
    if (header.sizeBytes > mostExtendedBytes)
      throw new BadArchive(place, `has an extended header of more than ${mostExtendedBytes} bytes`)
    if (seen.has(header.type)) throw new BadArchive(place, 'has two extended headers of one kind before a member')
    seen.add(header.type)
    const text = await take(at, header.sizeBytes)
    const said = 'LK'.includes(header.type) ? readLongName(header.type as 'L' | 'K', text) : readPax(text, place)
    if (header.type === 'g' && Object.keys(said).length > 0)
      throw new BadArchive(place, 'has a global extended header that names a member')
    for (const key of Object.keys(said))
      if (key in extended) throw new BadArchive(place, 'has two extended headers that say the same')
    extended = { ...extended, ...said }
    at += header.sizeBytes + paddingBytes(header.sizeBytes)
  }
}

/** Checks the end: two empty blocks. Answers what Berth would not have written behind it. */
async function afterEnd(source: ByteSource, take: Take, at: number): Promise<BadArchive | undefined> {
  const second = await take(at + blockBytes, blockBytes)
  if (second.some((byte) => byte !== 0)) throw new BadArchive(source.placeOf(at + blockBytes), 'is no end of a tar')
  const behind = at + 2 * blockBytes
  return behind === source.sizeBytes
    ? undefined
    : new BadArchive(source.placeOf(behind), 'is behind the end of the archive, where nothing may be')
}

const kinds: Readonly<Record<string, string>> = {
  '3': 'a device',
  '4': 'a device',
  '6': 'a named pipe',
  S: 'a sparse file',
}

/** The name of a member without what says nothing. Throws for one that leads out, and for what is no file, folder or link. */
function cleanName({ name, type }: TarHeader, place: string): string {
  if (!'0125'.includes(type))
    throw new BadArchive(place, `has ${shown(name)}, ${kinds[type] ?? `of an unknown kind (${JSON.stringify(type)})`}`)
  if (name.length > mostPathBytes) throw new BadArchive(place, `has a name of more than ${mostPathBytes} bytes`)
  if (name.startsWith('/')) throw new BadArchive(place, `has ${shown(name)}, an absolute path`)
  const steps = name.split('/').filter((step) => step !== '' && step !== '.')
  if (steps.includes('..') || name.includes('\0') || name.includes('\\'))
    throw new BadArchive(place, `has ${shown(name)}, which leads out of the archive`)
  return steps.join('/')
}

function shown(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name)
}
