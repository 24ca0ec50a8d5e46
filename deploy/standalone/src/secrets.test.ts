import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { readSecrets } from './secrets.ts'

let home: string
const file = () => path.join(home, 'secrets.json')
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'berth-secrets-'))
})
afterEach(() => rmSync(home, { recursive: true }))

test('keys are made once, are those of a service each, and only this user may read them', () => {
  const made = readSecrets(home, {})
  expect(readSecrets(home, {})).toEqual(made)
  expect(new Set(Object.values(made.serviceKeys)).size).toBe(6)
  expect(statSync(file()).mode & 0o777).toBe(0o600)
})

test('a home from before each service had a key keeps the key that seals, and gets the others', () => {
  writeFileSync(file(), JSON.stringify({ serviceKey: 'shared by all', secretsKey: 'seals' }))
  const { secretsKey, serviceKeys } = readSecrets(home, {})
  expect(secretsKey).toBe('seals')
  expect(JSON.parse(readFileSync(file(), 'utf8'))).toEqual({ secretsKey, serviceKeys })
})

test('a key of the environment wins, and is not written', () => {
  expect(readSecrets(home, { secretsKey: 'given' }).secretsKey).toBe('given')
  expect(readFileSync(file(), 'utf8')).not.toContain('given')
})

test.each(['', '{}', '{"secretsKey": 1}', '{"secretsKey": "a", "serviceKeys": {"auth": "x"}}', 'null', '{"secretsKey'])(
  'a file that was damaged (%s) stops the start and is left as it is',
  (text) => {
    writeFileSync(file(), text)
    expect(() => readSecrets(home, {})).toThrow('cannot be read as the keys of this installation')
    expect(readFileSync(file(), 'utf8')).toBe(text)
  },
)
