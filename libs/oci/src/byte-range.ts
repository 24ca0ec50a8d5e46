/** Bytes `start` to `end`, both included. */
export type ByteRange = { start: number; end: number }

/**
 * Most ranges that one request is answered in parts for. RFC 9110 §14.2 lets a server ignore what is out of all proportion;
 * clients that pull parts of layers ask for some dozens at a time.
 */
const mostRanges = 256

/**
 * Reads a `Range` header against a size in bytes: the ranges in the order asked, without those that lie behind the end;
 * `unsatisfiable` (416) when none is left; or `undefined` for what is answered in full: another unit, what cannot be read,
 * too many ranges, or ranges that overlap so that they come to more bytes than there are. Rule: RFC 9110 §14.
 */
export function parseRanges(header: string | undefined, sizeBytes: number): ByteRange[] | 'unsatisfiable' | undefined {
  const list = header === undefined ? undefined : /^\s*bytes=(.*)$/i.exec(header)?.[1]
  if (list === undefined) return undefined
  // One element more than may be: whether there are too many is known without reading all of them.
  const asked = list.includes(',') ? list.split(',', 2 * mostRanges + 1) : [list]
  const ranges: ByteRange[] = []
  let seen = 0
  let totalBytes = 0
  for (const text of asked) {
    const element = text.trim()
    // A list may have empty elements (RFC 9110 §5.6.1.2).
    if (element === '' && asked.length > 1) continue
    const range = readRange(element, sizeBytes)
    if (range === undefined || ++seen > mostRanges) return undefined
    if (range === 'unsatisfiable') continue
    totalBytes += range.end - range.start + 1
    ranges.push(range)
  }
  if (seen === 0 || asked.length > 2 * mostRanges || totalBytes > sizeBytes) return undefined
  return ranges.length > 0 ? ranges : 'unsatisfiable'
}

function readRange(text: string, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^(\d*)-(\d*)$/.exec(text)
  if (!match) return undefined
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return undefined
  if (first === '') {
    const length = Math.min(Number(last), sizeBytes)
    return length > 0 ? { start: sizeBytes - length, end: sizeBytes - 1 } : 'unsatisfiable'
  }
  const start = Number(first)
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1)
  return start < sizeBytes && start <= end ? { start, end } : 'unsatisfiable'
}

/** Reads the `Content-Range` of an upload chunk, `0-511` or, as some clients send it, `bytes 0-511/*`. */
export function parseContentRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim())
  return match ? { start: Number(match[1]), end: Number(match[2]) } : undefined
}
