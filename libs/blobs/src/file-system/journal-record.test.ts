import { expect, test } from '@jest/globals'
import { freshBlob } from '../contract/subject.ts'
import { blobPath } from '../store/paths.ts'
import { readRecords, recordHead } from './journal-record.ts'

const blobs = [freshBlob(0), freshBlob(1000), freshBlob(70_000, 'sha512')]
const recordOf = ({ bytes, key }: (typeof blobs)[number]) =>
  Buffer.concat([recordHead(blobPath(key), bytes.length), bytes])
const whole = blobs.map(recordOf)
const log = Buffer.concat(whole)
const lengthOfTwo = whole.slice(0, 2).reduce((sum, { length }) => sum + length, 0)

test('what was appended is read again, in its order', () => {
  const { records, tornBytes } = readRecords(log)
  expect(tornBytes).toBe(0)
  expect(records.map(({ key, bytes }) => ({ key, bytes }))).toEqual(blobs)
  expect(records.map(({ place }) => place)).toEqual(blobs.map(({ key }) => blobPath(key)))
  expect(readRecords(Buffer.alloc(0))).toEqual({ records: [], tornBytes: 0 })
})

test('the zeros that a log is filled with ahead are its end, and no torn record', () => {
  const { records, tornBytes } = readRecords(Buffer.concat([log, Buffer.alloc(5_000)]))
  expect({ found: records.length, tornBytes }).toEqual({ found: blobs.length, tornBytes: 0 })
})

test.each([lengthOfTwo + 1, lengthOfTwo + 9, lengthOfTwo + 100, lengthOfTwo + 200, log.length - 1])(
  'cut after %i bytes, a log has the records before the cut, and no half one',
  (cut) => {
    const { records, tornBytes } = readRecords(log.subarray(0, cut))
    expect(records.map(({ bytes }) => bytes)).toEqual(blobs.slice(0, 2).map(({ bytes }) => bytes))
    expect(tornBytes).toBe(cut - lengthOfTwo)
  },
)

test('a log of which a part never came to the disk has what is whole around it, and nothing else', () => {
  const right = new Set(blobs.map(({ key }) => key.digest))
  for (let at = 0; at < log.length; at += 997) {
    const torn = Buffer.from(log)
    torn.fill(0, at, Math.min(at + 997, log.length))
    const { records } = readRecords(torn)
    expect(records.length).toBeLessThan(blobs.length)
    for (const { key } of records) expect(right).toContain(key.digest)
  }
  expect(readRecords(Buffer.alloc(5000)).records).toEqual([])
})
