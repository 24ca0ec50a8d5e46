import { type Digest, parseDigest } from '@berth/oci'
import { isStorable } from '@berth/service'
import { BadArchive } from './bad-archive.ts'

const mostVersions = 2_147_483_647

/** An object of JSON whose members are looked at one by one; `place` is where it stands in the archive. */
export type Given = { place: string; members: Readonly<Record<string, unknown>> }

export function objectIn(value: unknown, place: string): Given {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new BadArchive(place, 'is no object')
  return { place, members: value as Record<string, unknown> }
}

export function has({ members }: Given, name: string): boolean {
  return Object.hasOwn(members, name)
}

export function objectOf(given: Given, name: string): Given {
  return objectIn(valueOf(given, name), placeOf(given, name))
}

export function listOf<T>(given: Given, name: string, most: number, read: (entry: Given) => T): T[] {
  const value = valueOf(given, name)
  const place = placeOf(given, name)
  if (!Array.isArray(value)) throw new BadArchive(place, 'is no list')
  if (value.length > most) throw new BadArchive(place, `has more than ${most} entries`)
  return value.map((entry, at) => read(objectIn(entry, `${place}[${at}]`)))
}

export function textsOf(given: Given, name: string, most: number, limit: number): string[] {
  const value = valueOf(given, name)
  const place = placeOf(given, name)
  if (!Array.isArray(value) || value.length > most) throw new BadArchive(place, `is no list of ${most} entries at most`)
  return value.map((entry, at) => checkText(entry, `${place}[${at}]`, limit))
}

export function textOf(given: Given, name: string, limit: number): string {
  return checkText(valueOf(given, name), placeOf(given, name), limit)
}

/** A text that `isRight` says yes to; `what` is what it has to be. */
export function wordOf(given: Given, name: string, what: string, isRight: (text: string) => boolean): string {
  const value = valueOf(given, name)
  if (typeof value !== 'string' || !isRight(value)) throw new BadArchive(placeOf(given, name), `is no ${what}`)
  return value
}

export function digestOf(given: Given, name: string): Digest {
  const value = valueOf(given, name)
  const digest = typeof value === 'string' ? parseDigest(value) : undefined
  if (!digest) throw new BadArchive(placeOf(given, name), 'is no sha256 or sha512 digest')
  return digest
}

/** A whole number from 0 on. */
export function countOf(given: Given, name: string): number {
  const value = valueOf(given, name)
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw new BadArchive(placeOf(given, name), 'is no whole number from 0 on')
  return value as number
}

export function flagOf(given: Given, name: string): boolean {
  const value = valueOf(given, name)
  if (typeof value !== 'boolean') throw new BadArchive(placeOf(given, name), 'is neither true nor false')
  return value
}

/** A number of a version, as the catalog has it. */
export function versionOf(given: Given, name: string): number {
  const number = countOf(given, name)
  if (number > mostVersions) throw new BadArchive(placeOf(given, name), `is more than ${mostVersions}`)
  return number
}

/** A mark that stands there only where it is true. */
export function markOf(given: Given, name: string): boolean {
  if (!has(given, name)) return false
  if (given.members[name] !== true)
    throw new BadArchive(placeOf(given, name), 'is not true; where it is false it is left out')
  return true
}

export function valueOf(given: Given, name: string): unknown {
  if (!has(given, name)) throw new BadArchive(given.place, `lacks ${name}`)
  return given.members[name]
}

export function placeOf({ place }: Given, name: string): string {
  return `${place}.${name}`
}

function checkText(value: unknown, place: string, limit: number): string {
  if (typeof value !== 'string') throw new BadArchive(place, 'is no text')
  if (value.length > limit) throw new BadArchive(place, `has more than ${limit} characters`)
  if (!isStorable(value)) throw new BadArchive(place, 'holds U+0000 or half a surrogate pair, which cannot be stored')
  return value
}
