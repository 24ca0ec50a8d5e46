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
 * `BadPattern`. Matching takes at most (text × pattern) steps, whatever the pattern is.
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
  return { text, isExact, matches: (other) => matchTokens(tokens, other) }
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

/** Goes back to the last `*` only: an earlier one can take nothing that the last could not. */
function matchTokens(tokens: readonly Token[], text: string): boolean {
  let t = 0
  let p = 0
  let star = -1
  let starAt = 0
  while (t < text.length) {
    const token = tokens[p]
    if (token === 'many') {
      star = p++
      starAt = t
    } else if (token?.(text[t] ?? '')) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++starAt
    } else return false
  }
  while (tokens[p] === 'many') p++
  return p === tokens.length
}
