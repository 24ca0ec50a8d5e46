import { BadArchive } from './bad-archive.ts'

/** One header block of a tar (POSIX.1-1988 ustar), with the numbers of GNU. Names are bytes, read as Latin-1 so that none is lost. */
export type TarHeader = { name: string; type: string; sizeBytes: number; linkName: string }

const checksumField = { start: 148, end: 156 }

/** Reads a header block. Throws for what is none. */
export function readHeader(block: Buffer, place: string): TarHeader {
  // As all that write tars today put it: six digits, a zero byte and a blank.
  const said = /^([ 0-7]{6})\0 $/.exec(block.toString('latin1', checksumField.start, checksumField.end))?.[1]
  if (said === undefined || Number.parseInt(said, 8) !== checksum(block))
    throw new BadArchive(place, 'is damaged: a header of the tar has a wrong checksum')
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? readText(block, 345, 155) : ''
  const name = readText(block, 0, 100)
  const type = String.fromCharCode(block[156] ?? 0)
  const sizeBytes = readNumber(block, 124, 12)
  if (!Number.isSafeInteger(sizeBytes)) throw new BadArchive(place, 'names a member of an impossible size')
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type: type === '\0' || type === '7' ? '0' : type,
    sizeBytes,
    linkName: readText(block, 157, 100),
  }
}

/** What extended headers say of the member that follows. */
export type Extended = { name?: string; linkName?: string; sizeBytes?: number }

/** The records of a pax header: `LENGTH KEY=VALUE\n`, the length with itself. */
export function readPax(text: Buffer, place: string): Extended {
  const found: Extended = {}
  const seen = new Set<string>()
  for (let at = 0; at < text.length; ) {
    const blank = text.indexOf(0x20, at)
    const digits = blank < 0 ? '' : text.toString('latin1', at, blank)
    const end = at + Number(digits)
    if (!/^[1-9]\d{0,6}$/.test(digits) || end > text.length || end <= blank || text[end - 1] !== 0x0a)
      throw new BadArchive(place, 'is damaged: an extended header cannot be read')
    const record = text.toString('latin1', blank + 1, end - 1)
    const equals = record.indexOf('=')
    const key = record.slice(0, Math.max(0, equals))
    const value = record.slice(equals + 1)
    if (seen.has(key))
      throw new BadArchive(place, `says ${JSON.stringify(key.slice(0, 100))} twice in an extended header`)
    seen.add(key)
    if (key.startsWith('GNU.sparse')) throw new BadArchive(place, 'is a sparse file, which is not taken')
    if (key === 'path') found.name = value
    if (key === 'linkpath') found.linkName = value
    if (key === 'size') {
      if (!/^\d{1,15}$/.test(value)) throw new BadArchive(place, 'names a member of an impossible size')
      found.sizeBytes = Number(value)
    }
    at = end
  }
  return found
}

/** A long name as GNU tar writes it. */
export function readLongName(type: 'L' | 'K', text: Buffer): Extended {
  const name = text.toString('latin1').replace(/\0.*$/s, '')
  return type === 'L' ? { name } : { linkName: name }
}

/** Octal digits, or base 256 where the first bit says so. */
function readNumber(block: Buffer, at: number, width: number): number {
  if (((block[at] ?? 0) & 0x80) !== 0) {
    // A negative one, or more than a file can have, is as good as none: the caller refuses it.
    let value = (block[at] ?? 0) & 0x7f
    for (let next = at + 1; next < at + width; next++) value = value * 256 + (block[next] ?? 0)
    return value
  }
  const text = readText(block, at, width).trim()
  return text === '' ? 0 : /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN
}

function readText(block: Buffer, at: number, width: number): string {
  const text = block.toString('latin1', at, at + width)
  const end = text.indexOf('\0')
  return end < 0 ? text : text.slice(0, end)
}

/** The sum of all bytes, with blanks for the checksum itself. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20
  for (let at = 0; at < block.length; at++)
    if (at < checksumField.start || at >= checksumField.end) sum += block[at] ?? 0
  return sum
}
