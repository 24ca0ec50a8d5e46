import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { optionalText, readConfig, text, url } from './config.ts'
import { databaseSettings, withDatabasePassword } from './database-settings.ts'
import { refuseUnknownVariables } from './known-variables.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'berth-settings-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string, content: string) => {
  writeFileSync(path.join(folder, name), content)
  return path.join(folder, name)
}
const shape = { natsUrl: url('BERTH_NATS_URL', ['nats']), token: optionalText('BERTH_METRICS_TOKEN', { secret: true }) }

test('a secret may stand in a file, with a line end', () => {
  const env = { BERTH_NATS_URL: 'nats://h', BERTH_METRICS_TOKEN_FILE: file('token', 'a token\n') }
  expect(readConfig(shape, env)).toEqual({ natsUrl: 'nats://h', token: 'a token' })
  refuseUnknownVariables(env)
})

test('an empty variable leaves it to the file, and an empty file variable names none', () => {
  const env = {
    BERTH_NATS_URL: '',
    BERTH_NATS_URL_FILE: file('nats', 'nats://in-a-file'),
    BERTH_METRICS_TOKEN_FILE: '',
  }
  expect(readConfig(shape, env)).toEqual({ natsUrl: 'nats://in-a-file', token: undefined })
})

test.each([
  [
    { BERTH_NATS_URL: 'nats://h', BERTH_NATS_URL_FILE: '/a/file' },
    'BERTH_NATS_URL and BERTH_NATS_URL_FILE are both set',
  ],
  [{ BERTH_NATS_URL_FILE: '/not/there' }, 'BERTH_NATS_URL_FILE=/not/there cannot be read by this user (ENOENT)'],
  [{ BERTH_NATS_URL_FILE: '/dev/null' }, 'BERTH_NATS_URL_FILE=/dev/null is an empty file'],
])('%j stops the start with one line', (env, said) => {
  expect(() => readConfig(shape, env)).toThrow(said)
})

test('what is no secret is read from no file', () => {
  const env = { BERTH_HOST_FILE: file('host', 'h') }
  expect(() => readConfig({ host: text('BERTH_HOST') }, env)).toThrow('BERTH_HOST is not set')
  expect(() => refuseUnknownVariables(env)).toThrow('BERTH_HOST_FILE is no setting')
})

test('the end of a line behind a value is none of it', () => {
  expect(readConfig({ token: optionalText('BERTH_METRICS_TOKEN') }, { BERTH_METRICS_TOKEN: 'a token\r\n' })).toEqual({
    token: 'a token',
  })
})

const databaseOf = (env: NodeJS.ProcessEnv) => withDatabasePassword(readConfig(databaseSettings, env)).databaseUrl

test('the password of the database may be given apart from its URL, of any characters', () => {
  const given = file('password', 'p@ss/wörd %41')
  const url = databaseOf({ BERTH_DATABASE_URL: 'postgresql://u@h:5432/d', BERTH_DATABASE_PASSWORD_FILE: given })
  expect(decodeURIComponent(new URL(url).password)).toBe('p@ss/wörd %41')
  expect(new URL(url).host).toBe('h:5432')
})

test.each([
  ['postgresql://u:p@h/d', 'BERTH_DATABASE_URL has a password, and BERTH_DATABASE_PASSWORD is set too'],
  ['postgresql://h/d', 'BERTH_DATABASE_URL names no user'],
])('a password beside %s stops the start', (BERTH_DATABASE_URL, said) => {
  expect(() => databaseOf({ BERTH_DATABASE_URL, BERTH_DATABASE_PASSWORD: 'x' })).toThrow(said)
})
