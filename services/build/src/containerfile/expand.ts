/** What a variable is; `undefined`: it is not set. */
export type Lookup = (name: string) => string | undefined

/** A word that cannot be expanded here, with the reason. */
export class Unexpandable extends Error {
  override name = 'Unexpandable'
}

const most = 16 << 10
const deepest = 8

/**
 * Fills variables into a word and takes its quotes away, as FROM, COPY and ADD do:
 * https://docs.docker.com/reference/dockerfile/#environment-replacement
 */
export function expand(word: string, lookup: Lookup, escape = '\\', depth = 0): string {
  if (depth > deepest) throw new Unexpandable(`variables are nested more than ${deepest} deep`)
  let out = ''
  let quote = ''
  for (let at = 0; at < word.length; at++) {
    const char = word[at] ?? ''
    if (char === escape && quote !== "'" && at + 1 < word.length) out += word[++at]
    else if (char === quote) quote = ''
    else if (quote === '' && (char === '"' || char === "'")) quote = char
    else if (char === '$' && quote !== "'") {
      const variable = readVariable(word, at)
      out += valueOf(variable, lookup, escape, depth)
      at = variable.end - 1
    } else out += char
    if (out.length > most) throw new Unexpandable(`it comes to more than ${most} characters`)
  }
  if (quote !== '') throw new Unexpandable(`a quote (${quote}) is not closed`)
  return out
}

/** The words of an instruction, quotes and all; a line that goes on is one. */
export function splitWords(text: string, escape = '\\'): string[] {
  const words: string[] = []
  let word = ''
  let quote = ''
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? ''
    if (char === escape && /^[ \t]*\r?\n/.test(text.slice(at + 1, at + 200))) at = text.indexOf('\n', at)
    else if (char === escape && quote !== "'") word += char + (text[++at] ?? '')
    else if (quote === '' && /\s/.test(char)) {
      if (word !== '') words.push(word)
      word = ''
    } else {
      if (char === quote) quote = ''
      else if (quote === '' && (char === '"' || char === "'")) quote = char
      word += char
    }
  }
  return word === '' ? words : [...words, word]
}

type Variable = { name: string; operator: string; other: string; end: number }

function readVariable(word: string, at: number): Variable {
  const plain = /^[A-Za-z_][A-Za-z0-9_]*|^\d+/.exec(word.slice(at + 1, at + 300))?.[0]
  if (plain !== undefined) return { name: plain, operator: '', other: '', end: at + 1 + plain.length }
  if (word[at + 1] !== '{') return { name: '', operator: '$', other: '', end: at + 1 }
  const end = closing(word, at + 1)
  const inside = word.slice(at + 2, end)
  const parts = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])([\s\S]*))?$/.exec(inside)
  if (!parts) throw new Unexpandable(`\${${inside.slice(0, 100)}} cannot be read here`)
  return { name: parts[1] ?? '', operator: parts[2] ?? '', other: parts[3] ?? '', end: end + 1 }
}

function closing(word: string, open: number): number {
  let depth = 0
  for (let at = open; at < word.length; at++) {
    if (word[at] === '{') depth++
    if (word[at] === '}' && --depth === 0) return at
  }
  throw new Unexpandable('a "{" is not closed')
}

function valueOf({ name, operator, other }: Variable, lookup: Lookup, escape: string, depth: number): string {
  if (operator === '$') return '$'
  const value = lookup(name)
  const isSet = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined
  const alternative = () => expand(other, lookup, escape, depth + 1)
  if (operator.endsWith('-')) return isSet ? (value ?? '') : alternative()
  if (operator.endsWith('+')) return isSet ? alternative() : ''
  if (operator.endsWith('?') && !isSet)
    throw new Unexpandable(`${name} is not set${other === '' ? '' : `: ${other.slice(0, 100)}`}`)
  return value ?? ''
}
