import { type Kind, kinds } from './verbs.ts'

/** What a grant is on, as it is written: everything, all names below a prefix, or one object. */
export type On = { all: true } | { prefix: string } | { kind: Kind; name: string }

/** Why a text says not what a grant is on, and at which character, from 0. */
export class BadOn extends Error {
  override name = 'BadOn'
  readonly position: number

  constructor(message: string, position: number) {
    super(`${message}, at position ${position}`)
    this.position = position
  }
}

const wildcard = /[*?[\]{}]/
const kindNames: readonly string[] = kinds

/**
 * Reads `*`, `team/*` (every name below, not `team` itself) or `kind:name`. Throws `BadOn`: no other wildcard is known, so that nobody
 * believes to have narrowed what was not.
 */
export function parseOn(text: string): On {
  if (text === '*') return { all: true }
  if (text === '') throw new BadOn('it is empty; write *, team/* or repository:team/app', 0)
  const colon = text.indexOf(':')
  if (colon >= 0 && kindNames.includes(text.slice(0, colon))) {
    const name = text.slice(colon + 1)
    const odd = wildcard.exec(name)
    if (odd)
      throw new BadOn(`"${odd[0]}" means nothing in the name of one ${text.slice(0, colon)}`, colon + 1 + odd.index)
    if (name === '') throw new BadOn('the name is missing', colon + 1)
    return { kind: text.slice(0, colon) as Kind, name }
  }
  const prefix = text.endsWith('/*') ? text.slice(0, -1) : undefined
  const odd = wildcard.exec(prefix ?? text)
  if (odd) throw new BadOn(`"${odd[0]}" is no pattern; only a prefix can be given, as in team/*`, odd.index)
  if (prefix === undefined)
    throw new BadOn(`it is neither *, a prefix as team/*, nor one of ${kinds.join(', ')} with a name`, 0)
  if (prefix === '/') throw new BadOn('the prefix is missing', 0)
  return { prefix }
}

/** Writes it as it is read. */
export function formatOn(on: On): string {
  if ('all' in on) return '*'
  return 'prefix' in on ? `${on.prefix}*` : `${on.kind}:${on.name}`
}
