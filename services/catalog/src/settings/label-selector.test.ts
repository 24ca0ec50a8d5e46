import { expect, test } from '@jest/globals'
import { checkLabels } from './check-labels.ts'
import { parseSelector } from './label-selector.ts'

test('terms say equality, inequality and presence, and a comma means and', () => {
  expect(parseSelector('team=payments,env!=prod,tier,note=a=b,empty=')).toEqual({
    equal: { team: 'payments', note: 'a=b', empty: '' },
    different: [{ env: 'prod' }],
    present: ['tier'],
  })
})

test.each([
  ['an empty term', 'team=a,'],
  ['no key', '=a'],
  ['no key before an inequality', '!=a'],
  ['a key that is none', 'te am=a'],
  ['two values of one label', 'team=a,team=b'],
  ['too many terms', Array.from({ length: 33 }, (_, i) => `k${i}`).join()],
])('%s is refused with the field', (_, text) => {
  expect(() => parseSelector(text)).toThrow(expect.objectContaining({ status: 400 }))
})

test('labels that a selector could not name are refused with their field', () => {
  checkLabels({ team: 'payments', 'app.example.org/name': 'shop – front', '1': '' })
  for (const [key, value, field] of [
    ['-x', '', 'labels.-x'],
    ['a b', '', 'labels.a b'],
    ['', '', 'labels.'],
    ['k'.repeat(129), '', `labels.${'k'.repeat(128)}`],
    ['team', 'a,b', 'labels.team'],
    ['team', 'a\nb', 'labels.team'],
  ] as const)
    expect(() => checkLabels({ [key]: value })).toThrow(
      expect.objectContaining({ status: 400, options: expect.objectContaining({ field }) }),
    )
})
