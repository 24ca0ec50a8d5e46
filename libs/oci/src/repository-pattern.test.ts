import { describe, expect, test } from '@jest/globals'
import { BadPattern } from './glob.ts'
import { parseRepositoryPattern } from './repository-pattern.ts'

describe('what a pattern of repositories matches', () => {
  test.each([
    ['library/alpine', 'library/alpine', true],
    ['library/alpine', 'library/alpine2', false],
    ['library/*', 'library/alpine', true],
    ['library/*', 'library/a/b', true],
    ['library/*', 'other/alpine', false],
    ['*', 'a/b/c', true],
    ['team-?/app', 'team-a/app', true],
    ['team-[ab]/app', 'team-c/app', false],
  ])('%s on %s: %s', (pattern, name, wanted) => expect(parseRepositoryPattern(pattern).matches(name)).toBe(wanted))

  test.each([
    ['', 1],
    ['Library/*', 1],
    ['library/*:latest', 10],
    ['a b', 2],
    ['a[', 2],
    ['library/', 1],
    ['a//b', 1],
    ['/*/../x$', 8],
  ])('%j is none, because of position %d', (pattern, position) => {
    expect(() => parseRepositoryPattern(pattern)).toThrow(BadPattern)
    try {
      parseRepositoryPattern(pattern)
    } catch (error) {
      expect((error as BadPattern).position).toBe(position)
    }
  })
})
