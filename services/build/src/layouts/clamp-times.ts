import {
  blockBytes,
  padding,
  readHeader,
  readNumber,
  sealHeader,
  type TarHeader,
  writeNumber,
} from '../context/tar-header.ts'

/** An extended header with more than this is refused, as it is by the programs that write layers. */
const mostExtendedBytes = 1 << 20
const mtimeAt = 136
const timeKeys = ['mtime', 'atime', 'ctime']
/** Links, devices, folders and pipes have no content: programs do not agree about what follows one that says it has. */
const withoutContent = '123456'

/** Takes a tar in chunks as they come, and gives them back with its times changed; `end` when there are no more. */
export type TimeClamp = { push(chunk: Buffer): Buffer[]; end(): void }

/** What is looked at as one: a header, with the body of an extended one, or with the maps of a sparse file. */
type Unit = { bytes: Buffer; header: TarHeader | null }

/**
 * Makes times of a tar that are later than one that one, in whole seconds, and leaves everything else of it as it is. Holds no more of it
 * than one header. Headers are changed in the chunks themselves. Throws for what is no tar, or only a part of one.
 */
export function createTimeClamp(latest: number): TimeClamp {
  /** Bytes that go through as they are: content, and what fills its last block. */
  let passing = 0
  let held: Buffer = Buffer.alloc(0)
  let hasEnded = false
  /** What an extended header says of the entry behind it. */
  let sizeOfNext: number | undefined

  const clampUnit = ({ bytes, header }: Unit): Buffer => {
    if (!header) {
      // No program reads what follows the end.
      hasEnded = true
      passing = Number.POSITIVE_INFINITY
      return bytes
    }
    if (header.type === 'x' || header.type === 'g') {
      const { size, clamped } = clampExtended(bytes, header, latest)
      if (header.type === 'x') sizeOfNext = size
      else if (size !== undefined) throw damaged('it gives all of its files one size')
      return clamped
    }
    clampHeader(bytes.subarray(0, blockBytes), latest)
    // A long name of GNU comes between an extended header and its entry.
    const isName = header.type === 'L' || header.type === 'K'
    const size = isName ? header.size : (sizeOfNext ?? header.size)
    if (!isName) sizeOfNext = undefined
    if (!Number.isSafeInteger(size)) throw damaged('it names a file of an impossible size')
    if (size > 0 && withoutContent.includes(header.type))
      throw damaged('it has a link, a folder or a device with content')
    passing = size + padded(size)
    return bytes
  }

  return {
    push: (chunk) => {
      const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      const out: Buffer[] = []
      let given = 0
      let at = 0
      while (at < bytes.length) {
        if (passing > 0) {
          const count = Math.min(passing, bytes.length - at)
          passing -= count
          at += count
          continue
        }
        const unit = unitAt(bytes, at)
        if (!unit) break
        const clamped = clampUnit(unit)
        if (clamped !== unit.bytes) {
          out.push(bytes.subarray(given, at), clamped)
          given = at + unit.bytes.length
        }
        at += unit.bytes.length
      }
      out.push(bytes.subarray(given, at))
      held = bytes.subarray(at)
      return out.filter(({ length }) => length > 0)
    },
    end: () => {
      if (!hasEnded) throw damaged('it breaks off')
    },
  }
}

/** What begins there; `undefined`: not all of it is here yet. */
function unitAt(bytes: Buffer, at: number): Unit | undefined {
  if (bytes.length - at < blockBytes) return undefined
  const block = bytes.subarray(at, at + blockBytes)
  if (block.every((byte) => byte === 0)) return { bytes: block, header: null }
  const header = readHeader(block)
  if (!header) throw damaged('a header has a wrong checksum')
  const length = header.type === 'S' ? sparseLength(bytes, at) : blockBytes + bodyLength(header)
  if (length === undefined || bytes.length - at < length) return undefined
  return { bytes: bytes.subarray(at, at + length), header }
}

function bodyLength({ type, size }: TarHeader): number {
  if (type !== 'x' && type !== 'g') return 0
  if (!(size <= mostExtendedBytes)) throw damaged(`it has an extended header of more than ${mostExtendedBytes} bytes`)
  return size + padded(size)
}

/** Of the header of a sparse file of GNU, each block says whether another one follows. */
function sparseLength(bytes: Buffer, at: number): number | undefined {
  let length = blockBytes
  for (let goesOn = bytes[at + 482]; goesOn; goesOn = bytes[at + length - 8]) {
    length += blockBytes
    if (length > mostExtendedBytes)
      throw damaged(`it has a sparse file of more than ${mostExtendedBytes} bytes of header`)
    if (bytes.length - at < length) return undefined
  }
  return length
}

/** Changes a header where it stands. */
function clampHeader(block: Buffer, latest: number): void {
  let isChanged = false
  for (const at of [mtimeAt, ...moreTimes(block)]) {
    const isNegative = ((block[at] ?? 0) & 0xc0) === 0xc0
    const time = isNegative ? -1 : readNumber(block, at, 12)
    if (Number.isNaN(time)) throw damaged('a header has a time that cannot be read')
    if (time <= latest) continue
    writeNumber(block, at, latest)
    isChanged = true
  }
  if (isChanged) sealHeader(block)
}

/** Where the older forms of GNU and of star have when a file was read and when it was changed. */
function moreTimes(block: Buffer): number[] {
  if (block.toString('latin1', 257, 265) === 'ustar  \0') return [345, 357]
  if (block.toString('latin1', 257, 263) === 'ustar\0' && block.toString('latin1', 508, 512) === 'tar\0')
    return [476, 488]
  return []
}

/** An extended header with the times in it changed, the same bytes where none is, and the size that it says. */
function clampExtended(unit: Buffer, header: TarHeader, latest: number): { clamped: Buffer; size: number | undefined } {
  const block = unit.subarray(0, blockBytes)
  clampHeader(block, latest)
  const parts: Buffer[] = []
  let isChanged = false
  let size: number | undefined
  for (const { key, value, bytes } of recordsOf(unit.subarray(blockBytes, blockBytes + header.size))) {
    if (key === 'size') size = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    const isClamped = timeKeys.includes(key) && isLater(value, latest)
    isChanged ||= isClamped
    parts.push(isClamped ? recordOf(key, String(latest)) : bytes)
  }
  if (!isChanged) return { clamped: unit, size }
  const body = Buffer.concat(parts)
  writeNumber(block, 124, body.length)
  sealHeader(block)
  return { clamped: Buffer.concat([block, body, padding(body.length)]), size }
}

type PaxRecord = { key: string; value: string; bytes: Buffer }

/** The records of an extended header: `LENGTH KEY=VALUE\n`, the length with itself. */
function* recordsOf(body: Buffer): Generator<PaxRecord> {
  for (let at = 0; at < body.length; ) {
    const blank = body.indexOf(0x20, at)
    const length = /^\d{1,7}$/.exec(body.toString('latin1', at, Math.max(at, Math.min(blank, at + 8))))?.[0]
    const end = at + Number(length)
    const equals = body.indexOf('=', blank)
    if (length === undefined || end > body.length || equals < 0 || equals >= end || body[end - 1] !== 0x0a)
      throw damaged('an extended header cannot be read')
    yield {
      key: body.toString('latin1', blank + 1, equals),
      value: body.toString('latin1', equals + 1, end - 1),
      bytes: body.subarray(at, end),
    }
    at = end
  }
}

function recordOf(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.from(`${length}${rest}`, 'latin1')
}

/** Whether a time, in seconds with decimals, is later than one in whole seconds. */
function isLater(text: string, latest: number): boolean {
  // An empty value takes back what a global header has said.
  if (text === '') return false
  const [, sign, seconds, decimals = ''] = /^(-?)(\d{1,20})(?:\.(\d*))?$/.exec(text) ?? []
  if (seconds === undefined) throw damaged('an extended header has a time that cannot be read')
  if (sign) return false
  return Number(seconds) > latest || (Number(seconds) === latest && /[1-9]/.test(decimals))
}

function padded(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes
}

function damaged(what: string): Error {
  return new Error(`a layer of the result is no tar that can be read: ${what}`)
}
