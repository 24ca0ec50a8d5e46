/** Bytes `start` to `end`, both included. */
export type ByteRange = { start: number; end: number }

/**
 * Reads one range of a `Range` header against a size in bytes: a range, `unsatisfiable` (416), or `undefined` when the
 * header asks for something else, which is then answered in full. Rule: RFC 9110 §14.
 */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const match = header === undefined ? undefined : /^bytes=(\d*)-(\d*)$/.exec(header.trim())
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
