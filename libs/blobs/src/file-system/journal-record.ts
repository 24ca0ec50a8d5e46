import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { algorithmOf, hexOf } from '@berth/oci'
import { keyOfBlobPath } from '../store/paths.ts'
import type { BlobKey } from '../store/store.ts'

/** A blob in a log: the place of its own file, from the root, and its bytes. */
export type JournalRecord = { key: BlobKey; place: string; bytes: Buffer }

const headGrammar = /^([0-9a-f]{8}) (\d{1,9} (blobs\/\S+))$/
// More than the head of the longest digest has.
const longestHeadBytes = 256

/**
 * What stands in front of a blob's bytes in a log: a line of its size and place, and before these their checksum. The bytes
 * need none, because the place has their digest.
 */
export function recordHead(place: string, sizeBytes: number): Buffer {
  const rest = `${sizeBytes} ${place}`
  return Buffer.from(`${checksum(rest)} ${rest}\n`)
}

/**
 * The records of a log that are whole. What is torn was never acknowledged: the one append that was under way at a crash. With
 * a whole head the next record is found behind it; else the log ends there, as where the zeros begin that it is filled with ahead.
 */
export function readRecords(log: Buffer): { records: JournalRecord[]; tornBytes: number } {
  const records: JournalRecord[] = []
  let tornBytes = 0
  for (let at = 0; at < log.length; ) {
    const head = readHeadAt(log, at)
    const bytes = head && log.subarray(head.end, head.end + head.sizeBytes)
    if (!bytes || bytes.length < head.sizeBytes) return { records, tornBytes: tornBytes + withoutZeros(log, at) }
    const { key, place } = head
    if (hash(algorithmOf(key.digest), bytes, 'hex') === hexOf(key.digest)) records.push({ key, place, bytes })
    else tornBytes += head.end + head.sizeBytes - at
    at = head.end + head.sizeBytes
  }
  return { records, tornBytes }
}

/** How many bytes there are from here to the last that is not zero. */
function withoutZeros(log: Buffer, from: number): number {
  let end = log.length
  while (end > from && log[end - 1] === 0) end -= 1
  return end - from
}

type Head = { key: BlobKey; place: string; sizeBytes: number; end: number }

function readHeadAt(log: Buffer, at: number): Head | undefined {
  const lineBytes = log.subarray(at, at + longestHeadBytes).indexOf('\n')
  if (lineBytes < 0) return undefined
  const [, sum, rest = '', place = ''] = headGrammar.exec(log.toString('latin1', at, at + lineBytes)) ?? []
  const key = keyOfBlobPath(place)
  if (!key || sum !== checksum(rest)) return undefined
  return { key, place, sizeBytes: Number.parseInt(rest, 10), end: at + lineBytes + 1 }
}

const checksum = (text: string) => crc32(text).toString(16).padStart(8, '0')
