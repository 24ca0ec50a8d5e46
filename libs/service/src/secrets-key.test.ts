import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { createSealer } from './seal.ts'
import { readSecretsKey, withSecretsKey } from './secrets-key.ts'
import { StartupError } from './startup-error.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-key-'))
afterAll(() => rmSync(folder, { recursive: true }))
const [one, two, three] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64')) as [string, string, string]

test('the key may stand in a file, with a line end', () => {
  const secretsKeyFile = join(folder, 'key')
  writeFileSync(secretsKeyFile, `${one}\n`)
  expect(readSecretsKey({ secretsKey: undefined, secretsKeyFile })).toBe(one)
  expect(withSecretsKey({ secretsKey: undefined, secretsKeyFile }).secretsKey).toBe(one)
})

test.each([
  ['neither', { secretsKey: undefined, secretsKeyFile: undefined }, /BERTH_SECRETS_KEY is not set/],
  ['both', { secretsKey: one, secretsKeyFile: '/a/file' }, /both set/],
  ['a file that is not there', { secretsKey: undefined, secretsKeyFile: '/not/there' }, /\/not\/there cannot be read/],
])('%s stops the start with a remedy', (_title, given, message) => {
  expect(() => withSecretsKey(given)).toThrow(StartupError)
  expect(() => withSecretsKey(given)).toThrow(message)
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
