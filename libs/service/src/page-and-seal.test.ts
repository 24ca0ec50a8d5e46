import { describe, expect, test } from '@jest/globals'
import { readPage, timeAndIdAfter, toPage } from './page.ts'
import { Problem } from './problem.ts'
import { createSealer } from './seal.ts'
import { StartupError } from './startup-error.ts'

describe('lists in pages', () => {
  test('every row comes once, whatever characters its key has', () => {
    const rows = ['a', 'b/c', 'd e', 'ä', '+?&', 'z'.repeat(300)]
    const seen: string[] = []
    let cursor: string | null | undefined
    do {
      const page = readPage({ limit: 2, ...(cursor ? { cursor } : {}) })
      const from = page.after === undefined ? 0 : rows.indexOf(page.after) + 1
      const { items, next } = toPage(rows.slice(from, from + page.limit + 1), page, String, String)
      expect(items.length).toBeLessThanOrEqual(2)
      seen.push(...items)
      cursor = next
    } while (cursor)
    expect(seen).toEqual(rows)
  })

  test('a page holds 100 rows, and never more than 1,000', () => {
    expect([readPage({}).limit, readPage({ limit: 7 }).limit, readPage({ limit: 10 ** 9 }).limit]).toEqual([
      100, 7, 1000,
    ])
  })

  test.each([
    ['2026-02-28T23:59:59.999Z', true],
    ['2026-02-30T00:00:00.000Z', false],
    ['0000-12-31T00:00:00.000Z', false],
    ['2026-13-01T00:00:00.000Z', false],
  ])('a cursor of the time %s is taken: %s, as PostgreSQL has it', (at, isTaken) => {
    const id = '0e7a7b1c-6f0d-4f6e-9d2b-000000000000'
    const read = () => timeAndIdAfter({ after: `${at} ${id}`, limit: 1 })
    if (isTaken) expect(read()).toEqual({ at, id })
    else expect(read).toThrow('cursor')
  })

  test.each(['', '!', 'a b', '%%', 'YQ==', 'Y', 'ä'])('the cursor %j, which no list gave, is refused', (cursor) => {
    try {
      readPage({ cursor })
      throw new Error('it was taken')
    } catch (error) {
      expect(error).toBeInstanceOf(Problem)
      expect((error as Problem).options.field).toBe('cursor')
    }
  })
})

describe('sealed secrets', () => {
  const key = Buffer.alloc(32, 7)
  const sealer = createSealer(key.toString('base64'))

  test('what was sealed is opened again, also by the key in hex', () => {
    const sealed = sealer.seal('pässword', 'remote:1')
    expect(sealer.open(sealed, 'remote:1')).toBe('pässword')
    expect(createSealer(key.toString('hex')).open(sealed, 'remote:1')).toBe('pässword')
  })

  test('the same secret is never sealed to the same bytes, and they do not show it', () => {
    const [one, two] = [sealer.seal('secret', 'x'), sealer.seal('secret', 'x')]
    expect(one.equals(two)).toBe(false)
    expect(one.includes('secret')).toBe(false)
  })

  test('it opens for nobody else', () => {
    const sealed = sealer.seal('secret', 'remote:1')
    expect(() => sealer.open(sealed, 'remote:2')).toThrow('unable to authenticate')
    const other = createSealer(Buffer.alloc(32, 8).toString('base64'))
    expect(() => other.open(sealed, 'remote:1')).toThrow(/another BERTH_SECRETS_KEY/)
  })

  test('a changed byte, wherever, is noticed', () => {
    const sealed = sealer.seal('secret', 'x')
    for (let i = 0; i < sealed.length; i++) {
      const changed = Buffer.from(sealed)
      changed[i] = (changed[i] ?? 0) ^ 1
      expect(() => sealer.open(changed, 'x')).toThrow(/unable to authenticate|another BERTH_SECRETS_KEY/)
    }
    expect(() => sealer.open(sealed.subarray(0, 20), 'x')).toThrow('authentication tag')
  })

  test.each(['', 'short', btoa('x'.repeat(31)), 'g'.repeat(64)])('%j is no key', (bad) => {
    expect(() => createSealer(bad)).toThrow(StartupError)
  })
})
