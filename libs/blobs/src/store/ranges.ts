import type { ByteRange } from '@berth/oci'

/** The range to read; one that does not lie within the blob is the caller's mistake. */
export function wholeOr(range: ByteRange | undefined, sizeBytes: number, name: string): ByteRange {
  if (!range) return { start: 0, end: sizeBytes - 1 }
  const { start, end } = range
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end < sizeBytes) {
    return range
  }
  throw new RangeError(`${name} has ${sizeBytes} bytes, so none from ${start} to ${end}`)
}
