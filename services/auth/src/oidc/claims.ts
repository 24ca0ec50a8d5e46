import { isUuid, Problem } from '@berth/service'
import type { Provider } from '../identity-providers/provider.ts'
import type { IdClaims } from './client.ts'

/** Who somebody is for a provider, and what it says besides. */
export type Person = { issuer: string; subject: string; wantedName: string; groups: string[] }

// OpenID Connect Core 1.0 §2: at most 255 characters.
const longestSubject = 255
const longestName = 90
const mostGroups = 500
const longestGroup = 255

/** Reads what an ID token says of a person, which comes from outside. Throws 403. */
export function readPerson({ name, issuer, usernameClaim, groupsClaim }: Provider, claims: IdClaims): Person {
  const { sub } = claims
  if (typeof sub !== 'string' || sub === '' || sub.length > longestSubject || /[^\x20-\x7e]/.test(sub))
    throw refused(name, `"sub" is no text of at most ${longestSubject} characters of ASCII`)
  return {
    issuer,
    subject: sub,
    wantedName: nameFrom(claims[usernameClaim]) ?? nameFrom(sub) ?? 'user',
    groups: readGroups(name, groupsClaim, claims[groupsClaim]),
  }
}

/** A name that an account may have, made of what a provider calls somebody; `undefined` for what is no text. */
function nameFrom(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const name = value
    .slice(0, longestName)
    .replaceAll(/[^A-Za-z0-9._@-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  // Whoever has the id of another as its name would stand where that one is meant.
  if (isUuid(name)) return `user-${name}`
  return name === '' ? undefined : name
}

/** One text is a group, as a list of one; what is neither is none. */
function readGroups(provider: string, claim: string, value: unknown): string[] {
  const groups = (typeof value === 'string' ? [value] : Array.isArray(value) ? (value as unknown[]) : []).filter(
    (group): group is string => typeof group === 'string' && group.length <= longestGroup && !group.includes('\0'),
  )
  if (groups.length > mostGroups)
    throw refused(provider, `"${claim}" has ${groups.length} values, and at most ${mostGroups} are taken`)
  return [...new Set(groups)]
}

function refused(provider: string, why: string): Problem {
  return new Problem(403, 'claims_refused', `What "${provider}" says of you cannot be used: ${why}.`, {
    hint: 'Have the provider put in only what belongs to Berth.',
  })
}
