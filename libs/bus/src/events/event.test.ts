import { expect, test } from '@jest/globals'
import { declaredOf, defineEvent, toCloudEvent } from './event.ts'

test('a column that an event does not declare is not announced', () => {
  const kind = defineEvent<{ name: string }>('catalog', 'thing.updated', 'A thing.', { name: { type: 'string' } })
  const row = { name: 'a', secret: 'not told' }
  expect(() => toCloudEvent({ kind, data: row })).toThrow(/additional properties/)
  expect(toCloudEvent({ kind, data: declaredOf(kind, row) }).data).toEqual({ name: 'a' })
})
