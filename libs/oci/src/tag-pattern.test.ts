import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { BadPattern } from './glob.ts'
import { parseTagPattern } from './tag-pattern.ts'

describe('what a pattern matches', () => {
  test.each([
    ['latest', 'latest', true],
    ['latest', 'latest2', false],
    ['latest', 'Latest', false],
    ['*', 'anything', true],
    ['1.*', '1.2', true],
    ['1.*', '1.', true],
    ['1.*', '12', false],
    ['*-alpine', '3.1-alpine', true],
    ['*-alpine', '3.1-alpine2', false],
    ['v?', 'v1', true],
    ['v?', 'v', false],
    ['v?', 'v12', false],
    ['v[0-9]', 'v7', true],
    ['v[0-9]', 'vx', false],
    ['v[!0-9]', 'vx', true],
    ['v[^0-9]', 'v7', false],
    ['v[-a]', 'v-', true],
    ['v[a-]', 'v-', true],
    ['[ab][cd]*', 'bcx', true],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'acb', false],
    ['**', 'x', true],
    ['a.c', 'abc', false],
  ])('%s on %s: %s', (pattern, tag, wanted) => expect(parseTagPattern(pattern).matches(tag)).toBe(wanted))

  test.each([
    ['', 1],
    ['a[b', 2],
    ['[]', 1],
    ['ab[z-a]', 4],
    ['(a+)+$', 1],
    ['a|b', 2],
    ['a b', 2],
    ['ä', 1],
    ['a/b', 2],
    ['a\\*', 2],
  ])('%j is refused, and the place is named', (pattern, position) => {
    expect(() => parseTagPattern(pattern)).toThrow(BadPattern)
    expect(() => parseTagPattern(pattern)).toThrow(`at position ${position}`)
  })

  test('agrees with a slow and simple matcher', () => {
    const naive = (pattern: string, tag: string): boolean => {
      if (pattern === '') return tag === ''
      if (pattern[0] === '*') return naive(pattern.slice(1), tag) || (tag !== '' && naive(pattern, tag.slice(1)))
      return tag !== '' && (pattern[0] === '?' || pattern[0] === tag[0]) && naive(pattern.slice(1), tag.slice(1))
    }
    const text = (letters: string, minLength: number) =>
      fc.string({ unit: fc.constantFrom(...letters.split('')), minLength, maxLength: 10 })
    fc.assert(
      fc.property(text('ab*?', 1), text('ab', 0), (pattern, tag) => {
        expect(parseTagPattern(pattern).matches(tag)).toBe(naive(pattern, tag))
      }),
      { numRuns: 2_000 },
    )
  })

  test.each([
    `${'*a'.repeat(60)}b`,
    `${'a*'.repeat(60)}b`,
    `${'*'.repeat(128)}b`,
    `${'?*'.repeat(60)}b`,
    `${'[a-z]*'.repeat(40)}0`,
  ])('the hostile pattern %s takes less than 5 ms', (text) => {
    const pattern = parseTagPattern(text)
    pattern.matches('warm')
    const before = process.cpuUsage()
    pattern.matches('a'.repeat(128))
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(5)
  })
})
