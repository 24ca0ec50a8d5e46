import { expect, test } from '@jest/globals'
import { parseGlob } from './glob.ts'

/** What a pattern means, in the words of regular expressions. */
function meaning(pattern: string): RegExp {
  return new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`)
}

test('of many patterns and texts each matches what it means, also beyond the bits of a word', () => {
  let seed = 7
  const next = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((seed / 2_147_483_648) * below)
  }
  const some = (characters: string, length: number) =>
    Array.from({ length }, () => characters[next(characters.length)] ?? '').join('')
  let matched = 0
  for (let n = 0; n < 4_000; n++) {
    const long = n % 4 === 0 ? 'ab'.repeat(14 + next(20)) : ''
    const pattern = `${long}${some('aab*?', 1 + next(8))}`
    const text = `${long}${some('ab', next(10))}`
    const isMatch = meaning(pattern).test(text)
    if (parseGlob(pattern, /[ab]/, 'a test').matches(text) !== isMatch)
      throw new Error(`${pattern} on ${text}: not ${isMatch}`)
    if (isMatch) matched += 1
  }
  expect(matched).toBeGreaterThan(400)
})

test('fifty patterns that nearly match at every place are compared with a long name within 3 ms', () => {
  const patterns = [`*${'a'.repeat(125)}b*`, `*${'a'.repeat(60)}?${'a'.repeat(60)}b*`, `${'*a'.repeat(120)}b`]
  const globs = Array.from({ length: 50 }, (_, n) => parseGlob(patterns[n % 3] ?? '', /[ab]/, 'a test'))
  const name = 'a'.repeat(250)
  const compare = () => globs.filter((glob) => glob.matches(name)).length
  for (let n = 0; n < 50; n++) compare()
  const times = Array.from({ length: 50 }, () => {
    const startedAt = performance.now()
    compare()
    return performance.now() - startedAt
  })
  // It took 10 ms where each place was tried on its own.
  expect(Math.min(...times)).toBeLessThan(3)
})
