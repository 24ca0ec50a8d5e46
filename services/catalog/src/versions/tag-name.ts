import { parseTagPattern } from '@berth/oci'

/**
 * The SQL condition for tags whose name is this, or matches it as a pattern. What stands before the first `*`, `?` or `[`
 * narrows the search by the index; the rest is a regular expression without alternatives or repetitions but `.*`, which
 * PostgreSQL matches without going back. The pattern must be a good one.
 */
export function tagNameCondition(column: string, pattern: string, place: (value: unknown) => string): string {
  if (parseTagPattern(pattern).isExact) return `${column} = ${place(pattern)}`
  const prefix = /^[^*?[]*/.exec(pattern)?.[0] ?? ''
  const from = place(prefix)
  // Tags are ASCII, so none that begins with the prefix comes after it with the last character of ASCII.
  const range = `${column} >= ${from} and ${column} < ${place(`${prefix}\u007f`)}`
  return `${range} and ${column} ~ ${place(`^${toRegularExpression(pattern)}$`)}`
}

// All that tags are made of. The hyphen is last, where it is no range.
const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-'.split('')

function toRegularExpression(pattern: string): string {
  return pattern.replaceAll(/\[[^\]]*\]|[*?.]/g, (part) => {
    if (part === '*') return '.*'
    if (part === '?') return '.'
    if (part === '.') return '\\.'
    // Spelt out by the code that knows what a set means, so that both mean the same.
    const members = characters.filter((character) => parseTagPattern(part).matches(character)).join('')
    // A set of none matches no tag: none holds this.
    return members === '' ? '!' : `[${members}]`
  })
}
