/** One header block of a tar (POSIX.1-1988 ustar), with the numbers of GNU. Names are bytes, read as Latin-1 so that none is lost. */
export type TarHeader = { name: string; type: string; mode: number; size: number; mtime: number; linkName: string }

export const blockBytes = 512

/** Reads a header block; `undefined`: its checksum is wrong, so it is none. */
export function readHeader(block: Buffer): TarHeader | undefined {
  if (readNumber(block, 148, 8) !== checksum(block)) return undefined
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? readText(block, 345, 155) : ''
  const name = readText(block, 0, 100)
  const type = String.fromCharCode(block[156] ?? 0)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type: type === '\0' || type === '7' ? '0' : type,
    mode: readNumber(block, 100, 8) & 0o7777,
    size: readNumber(block, 124, 12),
    mtime: readNumber(block, 136, 12),
    linkName: readText(block, 157, 100),
  }
}

/** A header as GNU tar writes it: what is longer than its fields comes before it in blocks of its own. */
export function writeHeader(header: TarHeader): Buffer {
  const long = [
    ...(header.name.length > 100 ? [longName('L', header.name)] : []),
    ...(header.linkName.length > 100 ? [longName('K', header.linkName)] : []),
  ]
  return Buffer.concat([...long, writeBlock(header)])
}

/** What follows bytes up to the next block. */
export function padding(size: number): Buffer {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes)
}

/** What ends a tar. */
export const tarEnd = Buffer.alloc(2 * blockBytes)

function longName(type: 'L' | 'K', name: string): Buffer {
  const bytes = Buffer.from(`${name}\0`, 'latin1')
  const header = { name: '././@LongLink', type, mode: 0, size: bytes.length, mtime: 0, linkName: '' }
  return Buffer.concat([writeBlock(header), bytes, padding(bytes.length)])
}

function writeBlock({ name, type, mode, size, mtime, linkName }: TarHeader): Buffer {
  const block = Buffer.alloc(blockBytes)
  block.write(name.slice(0, 100), 0, 'latin1')
  block.write(octal(mode, 8), 100, 'latin1')
  block.write(octal(0, 8), 108, 'latin1')
  block.write(octal(0, 8), 116, 'latin1')
  writeNumber(block, 124, size)
  block.write(octal(Math.max(0, Math.min(mtime, 0o77777777777)), 12), 136, 'latin1')
  block.write(type, 156, 'latin1')
  block.write(linkName.slice(0, 100), 157, 'latin1')
  block.write('ustar  \0', 257, 'latin1')
  sealHeader(block)
  return block
}

/** Gives a header block the checksum of what it says. */
export function sealHeader(block: Buffer): void {
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}

function octal(value: number, width: number): string {
  return `${Math.trunc(value)
    .toString(8)
    .padStart(width - 1, '0')}\0`
}

/** Writes a size or a time into its field of twelve bytes. */
export function writeNumber(block: Buffer, at: number, value: number): void {
  if (value <= 0o77777777777) return void block.write(octal(value, 12), at, 'latin1')
  block.fill(0, at, at + 4)
  block[at] = 0x80
  block.writeBigUInt64BE(BigInt(value), at + 4)
}

/** Octal digits, or base 256 where the first bit says so. */
export function readNumber(block: Buffer, at: number, width: number): number {
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
  for (let at = 0; at < blockBytes; at++) if (at < 148 || at >= 156) sum += block[at] ?? 0
  return sum
}
