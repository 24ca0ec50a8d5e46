import { describe, expect, test } from '@jest/globals'
import { parseContentRange, parseRange } from './byte-range.ts'

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
  ])('%s is a part', (header, range) => expect(parseRange(header, 2048)).toEqual(range))

  test.each(['bytes=2048-', 'bytes=5000-10000', 'bytes=500-0', 'bytes=-0', `bytes=${'9'.repeat(400)}-`])(
    '%s cannot be satisfied',
    (header) => expect(parseRange(header, 2048)).toBe('unsatisfiable'),
  )

  test.each([
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'items=0-1',
    'bytes=0-1,5-6',
    'bytes=0x1-2',
    'bytes 0-1',
  ])('%s is answered in full', (header) => expect(parseRange(header, 2048)).toBeUndefined())

  test('nothing of an empty blob can be satisfied', () => {
    expect(['bytes=0-', 'bytes=0-0', 'bytes=-1'].map((header) => parseRange(header, 0))).toEqual(
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
