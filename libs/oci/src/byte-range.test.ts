import { describe, expect, test } from '@jest/globals'
import { parseContentRange, parseRanges } from './byte-range.ts'

describe('Range against 2,048 bytes', () => {
  test.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=500-1499', { start: 500, end: 1499 }],
    ['bytes=500-', { start: 500, end: 2047 }],
    ['bytes=-500', { start: 1548, end: 2047 }],
    ['bytes=-5000', { start: 0, end: 2047 }],
    ['bytes=2000-5000', { start: 2000, end: 2047 }],
    ['bytes=2047-', { start: 2047, end: 2047 }],
    [`bytes=0-${'9'.repeat(400)}`, { start: 0, end: 2047 }],
    ['  bytes=1-2 ', { start: 1, end: 2 }],
    ['Bytes=1-2', { start: 1, end: 2 }],
    ['bytes=0-1,5000-', { start: 0, end: 1 }],
    ['bytes=,0-1,', { start: 0, end: 1 }],
  ])('%s is a part', (header, range) => expect(parseRanges(header, 2048)).toEqual([range]))

  test.each([
    'bytes=2048-',
    'bytes=5000-10000',
    'bytes=500-0',
    'bytes=-0',
    'bytes=3000-,-0,9-8',
    `bytes=${'9'.repeat(400)}-`,
  ])('%s cannot be satisfied', (header) => expect(parseRanges(header, 2048)).toBe('unsatisfiable'))

  test.each([
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'items=0-1',
    'bytes=0x1-2',
    'bytes 0-1',
    'bytes=,',
    'bytes=0-1,x',
    'bytes=0-1,-',
  ])('%s is answered in full', (header) => expect(parseRanges(header, 2048)).toBeUndefined())

  test('several ranges come in the order asked', () => {
    expect(parseRanges('bytes=2000-, 5-6 ,-1,0-0', 2048)).toEqual([
      { start: 2000, end: 2047 },
      { start: 5, end: 6 },
      { start: 2047, end: 2047 },
      { start: 0, end: 0 },
    ])
  })

  const each = (count: number, range: string) => `bytes=${Array(count).fill(range).join(',')}`
  test.each([
    ['256 ranges are answered in parts', each(256, '0-0'), 256],
    ['257 ranges are answered in full', each(257, '0-0'), undefined],
    ['257 ranges, most of them behind the end, are answered in full', each(257, '9000-'), undefined],
    ['thousands of commas are answered in full', each(5000, ''), undefined],
    ['as many bytes as there are, twice over, are answered in parts', 'bytes=0-1023,0-1023', 2],
    ['one byte more than there are is answered in full', 'bytes=0-1023,0-1024', undefined],
    ['all of it and a bit more is answered in full', 'bytes=0-,0-0', undefined],
  ])('%s', (_name, header, count) => {
    const ranges = parseRanges(header, 2048)
    expect(Array.isArray(ranges) ? ranges.length : ranges).toBe(count)
  })

  test('nothing of an empty blob can be satisfied', () => {
    expect(['bytes=0-', 'bytes=0-0', 'bytes=-1'].map((header) => parseRanges(header, 0))).toEqual(
      Array(3).fill('unsatisfiable'),
    )
  })
})

describe('Content-Range of a chunk', () => {
  test.each([
    ['0-511', { start: 0, end: 511 }],
    ['bytes 0-511/*', { start: 0, end: 511 }],
    ['bytes=512-1023', { start: 512, end: 1023 }],
    ['bytes 0-511/512', { start: 0, end: 511 }],
  ])('%s is read', (header, range) => expect(parseContentRange(header)).toEqual(range))

  test.each(['', '0', '-5', '5-', 'a-b', 'bytes */512', '0-511/', `0-${'9'.repeat(16)}`, '0-1,2-3'])(
    '%s is refused',
    (header) => expect(parseContentRange(header)).toBeUndefined(),
  )
})
