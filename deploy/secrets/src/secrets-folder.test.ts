import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { fillSecrets, secretNames } from './secrets-folder.ts'
import { shares, writeShares } from './shares.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'berth-secrets-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const byText = (one = '', other = '') => one.localeCompare(other)
const at = (name: string) => path.join(folder, name)
const read = (name: string) => readFileSync(at(name), 'utf8')
const all = () => Object.fromEntries(readdirSync(folder).map((name) => [name, read(name)]))

test('all keys are made once, each another one, and only the owner may read them', () => {
  expect(fillSecrets(folder).made.toSorted(byText)).toEqual(
    secretNames.filter((name) => name !== 'nats-users.conf').toSorted(byText),
  )
  const made = all()
  expect(Object.keys(made).toSorted(byText)).toEqual([...secretNames].toSorted(byText))
  expect(new Set(Object.values(made)).size).toBe(secretNames.length)
  for (const name of secretNames) expect([name, statSync(at(name)).mode & 0o777]).toEqual([name, 0o600])
  expect(fillSecrets(folder).made).toEqual([])
  expect(all()).toEqual(made)
})

test('what is there stays, and what is missing is made', () => {
  writeFileSync(at('admin-password'), 'chosen by a person\n')
  fillSecrets(folder)
  unlinkSync(at('metrics-token'))
  const { secrets, made } = fillSecrets(folder)
  expect(made).toEqual(['metrics-token'])
  expect(secrets.get('admin-password')).toBe('chosen by a person')
  expect(read('admin-password')).toBe('chosen by a person\n')
})

test('the users of NATS are written as this release has them, each with the key of its seed', () => {
  fillSecrets(folder)
  const users = read('nats-users.conf')
  writeFileSync(at('nats-users.conf'), 'of an older release')
  fillSecrets(folder)
  expect(read('nats-users.conf')).toBe(users)
})

test('a public key beside those of the private ones stays, as it does while a key is changed', () => {
  fillSecrets(folder)
  const before = JSON.parse(read('service-public-keys'))
  const other = mkdtempSync(path.join(tmpdir(), 'berth-secrets-'))
  const coming = JSON.parse(fillSecrets(other).secrets.get('service-public-keys') as string)
  rmSync(other, { recursive: true })
  const both = JSON.stringify({ ...before, sync: [...before.sync, ...coming.sync] })
  writeFileSync(at('service-public-keys'), both)
  fillSecrets(folder)
  expect(read('service-public-keys')).toBe(both)
})

test.each([
  ['service-key-sync', 'damaged', 'service-key-sync is not what its name says'],
  ['nats-seed-tasks', 'damaged', 'nats-seed-tasks is not what its name says'],
  ['service-public-keys', '{}', 'service-public-keys does not have the key of service-key-registry'],
  ['secrets-key', '', 'secrets-key is empty'],
])('%s that was damaged is named and left as it is', (name, text, said) => {
  fillSecrets(folder)
  writeFileSync(at(name), text)
  expect(() => fillSecrets(folder)).toThrow(said)
  expect(read(name)).toBe(text)
})

test('each reader is given what it needs and no more, and what was replaced is handed on', () => {
  const target = mkdtempSync(path.join(tmpdir(), 'berth-shares-'))
  try {
    const { secrets } = fillSecrets(folder)
    writeShares(target, secrets)
    expect(readdirSync(target).toSorted(byText)).toEqual(Object.keys(shares).toSorted(byText))
    for (const [reader, files] of Object.entries(shares)) {
      expect(readdirSync(path.join(target, reader)).toSorted(byText)).toEqual(Object.keys(files).toSorted(byText))
      for (const [name, source] of Object.entries(files))
        expect(readFileSync(path.join(target, reader, name), 'utf8')).toBe(secrets.get(source))
    }
    // Nobody can sign, announce or open as another one.
    const sync = readdirSync(path.join(target, 'sync'), 'utf8').map((name) =>
      readFileSync(path.join(target, 'sync', name), 'utf8'),
    )
    for (const name of ['service-key-catalog', 'nats-seed-tasks', 'admin-password'])
      expect(sync).not.toContain(secrets.get(name))
    writeFileSync(at('metrics-token'), 'a token of the operator, of more than 32 bytes')
    writeShares(target, fillSecrets(folder).secrets)
    expect(readFileSync(path.join(target, 'auth', 'metrics-token'), 'utf8')).toContain('a token of the operator')
  } finally {
    rmSync(target, { recursive: true })
  }
})

test('docs/reference/secrets.md names every file, and no other', () => {
  const page = readFileSync(new URL('../../../docs/reference/secrets.md', import.meta.url), 'utf8')
  // What else the chart is told of stands there too.
  const [ours = ''] = page.split('\n## Secrets that the chart is told of')
  const named = [...ours.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, names = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  )
  expect(named.toSorted(byText)).toEqual([...secretNames].toSorted(byText))
})
