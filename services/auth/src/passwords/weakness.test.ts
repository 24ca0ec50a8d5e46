import { expect, test } from '@jest/globals'
import { weaknessOf } from './weakness.ts'

test.each([
  'aaaaaaaaaaaa',
  'abababababab',
  'password1234',
  'Password-2026',
  'qwertyuiop12',
  'qwertyuiopas',
  '123456789012',
  '098765432109',
  'abcdefghijkl',
  'melissa12345',
  'Melissa.Melissa',
])('%s is too easy to guess for melissa', (password) => expect(weaknessOf(password, 'melissa')).toMatch(/^(has|is) /))

test.each(['melissa has one', 'correct horse battery', 'пароль для всех', 'X9-kkT2-pq88', 'the password of the admin'])(
  '%s is not',
  (password) => expect(weaknessOf(password, 'melissa')).toBeUndefined(),
)
