import { describe, expect, test } from '@jest/globals'
import { algorithmOf, asDigest, hexOf, parseDigest } from './digest.ts'

const hex256 = 'ab'.repeat(32)
const hex512 = 'cd'.repeat(64)

describe('digests', () => {
  test.each([`sha256:${hex256}`, `sha512:${hex512}`])('%s is one', (text) => {
    expect(parseDigest(text)).toBe(text)
  })

  test.each([
    ['nothing', ''],
    ['no algorithm', hex256],
    ['an empty algorithm', `:${hex256}`],
    ['an unknown algorithm', `md5:${'a'.repeat(32)}`],
    ['the hex length of the other algorithm', `sha512:${hex256}`],
    ['one character too few', `sha256:${hex256.slice(1)}`],
    ['one character too many', `sha256:${hex256}a`],
    ['upper case hex', `sha256:${hex256.toUpperCase()}`],
    ['an upper case algorithm', `SHA256:${hex256}`],
    ['a line feed at the end', `sha256:${hex256}\n`],
    ['a line feed inside', `sha256:${hex256.slice(1)}\n`],
    ['a path', `sha256:../../${'a'.repeat(58)}`],
    ['a name of the prototype', `constructor:${hex256}`],
    ['the prototype', `__proto__:${hex256}`],
    ['letters beyond f', `sha256:${'g'.repeat(64)}`],
  ])('%s is none', (_fault, text) => {
    expect(parseDigest(text)).toBeUndefined()
    expect(() => asDigest(text)).toThrow(TypeError)
  })

  test('algorithm and hex are the parts around the colon', () => {
    const digest = asDigest(`sha512:${hex512}`)
    expect([algorithmOf(digest), hexOf(digest)]).toEqual(['sha512', hex512])
  })
})
