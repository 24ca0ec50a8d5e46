import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { newestFirst } from './version-order.ts'

test('the newest are the highest versions, then names by their numbers, whatever their length', () => {
  const names = ['nightly-9', '1.9.0', 'nightly-10', '1.10', 'v1.10.0-rc.2', '1.10.0-rc.10', 'abc', 'nightly-9a']
  expect(newestFirst(names)).toEqual([
    '1.10',
    '1.10.0-rc.10',
    'v1.10.0-rc.2',
    '1.9.0',
    'nightly-10',
    'nightly-9a',
    'nightly-9',
    'abc',
  ])
})

test('the order of the newest does not depend on the order of the list', () => {
  const tag = fc.stringMatching(/^v?[0-9]{1,2}(\.[0-9]{1,2}){0,3}(-[a-c1-3]{1,2})?$/)
  fc.assert(
    fc.property(fc.uniqueArray(tag, { maxLength: 20 }), (names) => {
      expect(newestFirst(names)).toEqual(newestFirst(names.toReversed()))
    }),
  )
})
