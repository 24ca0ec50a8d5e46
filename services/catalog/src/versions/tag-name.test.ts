import { parseTagPattern } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Catalog, startCatalog } from '../testing/catalog.fixture.ts'
import { tagNameCondition } from './tag-name.ts'

let catalog: Catalog
beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog.stop())

const part = fc.constantFrom(
  'a',
  'b',
  'v1',
  '.',
  '-',
  '_',
  '*',
  '**',
  '?',
  '[a-c]',
  '[!a-c]',
  '[!]',
  '[.^-]',
  '[[:alpha:]',
  '[a-c-e]',
  '[\\d]',
  '[--a]',
)
const pattern = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''))
const tag = fc.stringMatching(/^[A-Ca-d1_][A-Ca-d.1_v-]{0,5}$/)

test('PostgreSQL finds the tags that the pattern matches, and no others', async () => {
  const check = fc.asyncProperty(pattern, fc.uniqueArray(tag, { minLength: 5, maxLength: 30 }), async (text, tags) => {
    const { matches } = parseTagPattern(text)
    const values: unknown[] = [tags]
    const condition = tagNameCondition('name', text, (value) => `$${values.push(value)}`)
    const rows = await catalog.db.query<{ name: string }>(
      `select name from (select name collate "C" as name from unnest($1::text[]) as name) as tag where ${condition}`,
      values,
    )
    expect(rows.map((row) => row.name).sort()).toEqual(tags.filter(matches).sort())
  })
  await fc.assert(check, { numRuns: 300, seed: 20_261_122 })
})
