import { describe, expect, test } from '@jest/globals'
import { isRepositoryName, isTag } from './names.ts'

describe('repository names', () => {
  test.each([
    'a',
    'library/alpine',
    'a.b',
    'a_b',
    'a__b',
    'a-b',
    'a---b',
    'foo/blobs',
    'x/manifests/y',
    '0/1',
    'a'.repeat(255),
  ])('%s is one', (name) => expect(isRepositoryName(name)).toBe(true))
  test.each([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'A',
    'a..b',
    'a___b',
    'a._b',
    '-a',
    'a-',
    '_a',
    '.a',
    'a.',
    '..',
    'a/../b',
    'a/./b',
    'a b',
    'a%2fb',
    'a\0b',
    'a\nb',
    'a\n',
    'ä',
    'a:b',
    'a@b',
    'a'.repeat(256),
  ])('%j is none', (name) => expect(isRepositoryName(name)).toBe(false))

  test('a hostile name is refused at once', () => {
    const before = process.cpuUsage()
    expect(isRepositoryName(`${'a__'.repeat(80)}!`)).toBe(false)
    expect(isRepositoryName(`${'a-'.repeat(50_000)}!`)).toBe(false)
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(50)
  })
})

describe('tags', () => {
  test.each(['latest', '1.0', '_x', 'A', 'v1.0_rc-1', '0', 'x'.repeat(128)])('%s is one', (tag) =>
    expect(isTag(tag)).toBe(true),
  )
  test.each(['', '.x', '-x', 'a/b', 'a:b', 'a b', 'a\n', 'ä', 'a+b', 'x'.repeat(129)])('%j is none', (tag) =>
    expect(isTag(tag)).toBe(false),
  )
})
