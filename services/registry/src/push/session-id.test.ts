import { expect, test } from '@jest/globals'
import { createSessionIds } from './session-id.ts'

const owner = { repository: 'team/app', subject: 'ana' }
const hourMs = 3_600_000

test('a replica with the same secret recognises a session; one of another installation does not', () => {
  const id = createSessionIds('a secret').make(owner, 7)
  expect(createSessionIds('a secret').isGenuine(id, owner)).toBe(true)
  expect(createSessionIds('another').isGenuine(id, owner)).toBe(false)
})

test.each([
  ['another subject', { ...owner, subject: 'bob' }],
  ['another repository', { ...owner, repository: 'team/other' }],
  ['nobody', { ...owner, subject: '' }],
])('a session is nothing to %s', (_, other) => {
  const ids = createSessionIds('a secret')
  expect(ids.isGenuine(ids.make(owner, 7), other)).toBe(false)
})

test('an id that was changed in any place is not genuine', () => {
  const ids = createSessionIds('a secret')
  const id = ids.make(owner, 7)
  for (let place = 0; place < id.length; place++) {
    const changed = id.slice(0, place) + (id[place] === '0' ? '1' : '0') + id.slice(place + 1)
    expect(ids.isGenuine(changed, owner)).toBe(false)
  }
})

test('a session without bytes ends after a day', () => {
  let now = Date.parse('2026-11-22T12:00:00Z')
  const ids = createSessionIds('a secret', () => now)
  const id = ids.make(owner, 7)
  now += 23 * hourMs
  expect(ids.isGenuine(id, owner)).toBe(true)
  now += hourMs
  expect(ids.isGenuine(id, owner)).toBe(false)
})

test('sessions begun in the same second differ by their numbers', () => {
  const ids = createSessionIds('a secret', () => 0)
  expect(new Set(Array.from({ length: 100 }, (_, i) => ids.make(owner, i))).size).toBe(100)
})

test('an id gives its number back for less than the day for which numbers may be used', () => {
  let now = Date.parse('2026-11-22T12:00:00Z')
  const ids = createSessionIds('a secret', () => now)
  for (const number of [0, 1, 2 ** 20, 2 ** 31 - 1]) expect(ids.generationOf(ids.make(owner, number))).toBe(number)
  const id = ids.make(owner, 7)
  now += 23 * hourMs
  expect(ids.generationOf(id)).toBeUndefined()
})

test('an id without a number is genuine, has none, and is like no other', () => {
  const ids = createSessionIds('a secret', () => 0)
  const made = Array.from({ length: 100 }, () => ids.make(owner, undefined))
  expect(new Set(made).size).toBe(100)
  for (const id of made) expect([ids.isGenuine(id, owner), ids.generationOf(id)]).toEqual([true, undefined])
})
