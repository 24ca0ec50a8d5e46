import { expect, test } from '@jest/globals'
import { createSealer } from './seal.ts'
import { withSecretsKey } from './secrets-key.ts'
import { StartupError } from './startup-error.ts'

const [one, two, three] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64')) as [string, string, string]

test('without a key the start stops with a remedy', () => {
  expect(() => withSecretsKey({ secretsKey: undefined })).toThrow(StartupError)
  expect(() => withSecretsKey({ secretsKey: undefined })).toThrow(/BERTH_SECRETS_KEY is not set/)
})

test('previous keys open what they sealed, and seal nothing more', () => {
  const sealed = createSealer(one).seal('secret', 'x')
  const sealer = createSealer(three, ` ${two}, ${one} `)
  expect(sealer.open(sealed, 'x')).toBe('secret')
  expect(sealer.isOwn(sealed)).toBe(false)
  const anew = sealer.seal('secret', 'x')
  expect(sealer.isOwn(anew)).toBe(true)
  expect(createSealer(three).open(anew, 'x')).toBe('secret')
  expect(() => createSealer(one, two).open(anew, 'x')).toThrow(/another BERTH_SECRETS_KEY/)
})

test('a previous key that is none is named without being told', () => {
  expect(() => createSealer(one, `${two},pl4nted`)).toThrow(/BERTH_SECRETS_PREVIOUS_KEYS is not a key/)
  expect(() => createSealer(one, `${two},pl4nted`)).not.toThrow(/pl4nted/)
})
