/** A glob: `*` for any characters, `?` for one, `[a-z]` for one of a set; anything else for itself. */
export type Glob = { text: string; isExact: boolean; matches: (text: string) => boolean }

/** What is wrong with a pattern, and where: `position` counts characters from 1. */
export class BadPattern extends Error {
  override name = 'BadPattern'
  readonly position: number

  constructor(message: string, position: number) {
    super(`${message} at position ${position}`)
    this.position = position
  }
}

type Token = 'many' | ((character: string) => boolean)

/**
 * Reads a glob whose own characters are those that `literal` matches; `kind` says of what they are part, as in "a tag". Throws
 * `BadPattern`. Matching takes at most (text × pattern / 32) steps, whatever the pattern is.
 */
export function parseGlob(text: string, literal: RegExp, kind: string): Glob {
  const tokens: Token[] = []
  let isExact = true
  for (let i = 0; i < text.length; i++) {
    const character = text[i] ?? ''
    if (character === '*' || character === '?' || character === '[') isExact = false
    if (character === '*') tokens.push('many')
    else if (character === '?') tokens.push(() => true)
    else if (character === '[') {
      const end = text.indexOf(']', i + 1)
      if (end < 0) throw new BadPattern('"[" has no matching "]"', i + 1)
      if (end === i + 1) throw new BadPattern('"[]" names no character', i + 1)
      tokens.push(characterSet(text.slice(i + 1, end), i + 2))
      i = end
    } else if (literal.test(character)) tokens.push((other) => other === character)
    else throw new BadPattern(`"${character}" cannot be part of ${kind}`, i + 1)
  }
  if (tokens.length === 0) throw new BadPattern('an empty pattern matches nothing', 1)
  return { text, isExact, matches: createMatcher(tokens) }
}

function characterSet(set: string, position: number): Token {
  const negated = set.startsWith('!') || set.startsWith('^')
  const members = negated ? set.slice(1) : set
  const ranges: [string, string][] = []
  for (let i = 0; i < members.length; i++) {
    const from = members[i] ?? ''
    const isRange = members[i + 1] === '-' && i + 2 < members.length
    const to = isRange ? (members[i + 2] ?? from) : from
    if (from > to) throw new BadPattern(`"${from}-${to}" runs backwards`, position + i)
    ranges.push([from, to])
    if (isRange) i += 2
  }
  return (character) => ranges.some(([from, to]) => from <= character && character <= to) !== negated
}

/**
 * Follows all places of the pattern that a text may have come to at once, 32 in a word (Baeza-Yates and Gonnet, "A New Approach to Text
 * Searching"): a stranger's patterns are compared with every event.
 */
function createMatcher(tokens: readonly Token[]): Glob['matches'] {
  const steps: ((character: string) => boolean)[] = []
  const starsBefore: number[] = []
  for (const token of tokens) {
    if (token === 'many') starsBefore.push(steps.length)
    else steps.push(token)
  }
  const words = (steps.length >> 5) + 1
  const bits = (places: readonly number[]) => {
    const found = new Uint32Array(words)
    for (const place of places) found[place >> 5] = (found[place >> 5] ?? 0) | (1 << (place & 31))
    return found
  }
  const staying = bits(starsBefore)
  const taking = new Map<string, Uint32Array>()
  const takenBy = (character: string) => {
    const known = taking.get(character)
    if (known) return known
    const found = bits(steps.flatMap((takes, place) => (takes(character) ? [place] : [])))
    // Names and tags have no others; a text of any characters is not remembered.
    if (character < '\x80') taking.set(character, found)
    return found
  }
  return (text) => {
    const places = bits([0])
    for (let t = 0; t < text.length; t++) {
      const taken = takenBy(text[t] ?? '')
      let carried = 0
      let left = 0
      for (let w = 0; w < words; w++) {
        const here = places[w] ?? 0
        const moved = here & (taken[w] ?? 0)
        const next = (moved << 1) | carried | (here & (staying[w] ?? 0))
        carried = moved >>> 31
        places[w] = next
        left |= next
      }
      if (left === 0) return false
    }
    return ((places[steps.length >> 5] ?? 0) & (1 << (steps.length & 31))) !== 0
  }
}
