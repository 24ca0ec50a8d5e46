import { badField } from '@berth/service'

const leastDifferent = 5
// Beginnings of those that stand at the top of every list of passwords that got out, and are long enough.
const wellKnown = [
  'password',
  'passw0rd',
  'qwerty',
  'qwertz',
  'azerty',
  '1q2w3e',
  'letmein',
  'iloveyou',
  'welcome',
  'changeme',
]
const rowsOfKeys = [
  '012345678901234567890123456789',
  '987654321098765432109876543210',
  'abcdefghijklmnopqrstuvwxyz',
  'qwertyuiopasdfghjklzxcvbnm',
]
const besideLetters = /[\d\p{P}\p{S}\s]/gu

/** Why a password is too easy to guess, be it long enough; `undefined` when it is not: one that anybody would try first. */
export function weaknessOf(password: string, name: string): string | undefined {
  const text = password.toLowerCase()
  if (new Set(text).size < leastDifferent) return `has fewer than ${leastDifferent} different characters`
  const word = [name.toLowerCase(), ...wellKnown].find((one) => text.startsWith(one))
  if (word !== undefined && text.replaceAll(word, '').replaceAll(besideLetters, '').length < leastDifferent)
    return `is little more than "${word}"`
  return rowsOfKeys.some((row) => row.includes(text)) ? 'is a row of keys' : undefined
}

/** Refuses (400) a password that is too easy to guess. */
export function refuseWeak(password: string, name: string): void {
  const weakness = weaknessOf(password, name)
  if (weakness !== undefined)
    throw badField('password', weakness, 'Some words that do not belong together are easy to keep.')
}
