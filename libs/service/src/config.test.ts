import { expect, test } from '@jest/globals'
import { choice, flag, integer, optionalText, optionalUrl, readConfig, secretKey, text, url } from './config.ts'
import { StartupError, startupMessage } from './startup-error.ts'

const shape = {
  databaseUrl: url('T_DATABASE_URL', ['postgres', 'postgresql']),
  port: integer('T_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
  key: text('T_KEY', { secret: true }),
  ca: optionalText('T_CA'),
  peer: optionalUrl('T_PEER', ['http']),
  verify: flag('T_VERIFY', { fallback: true }),
  level: choice('T_LEVEL', ['info', 'debug'], { fallback: 'info' }),
}

const faultsOf = (env: NodeJS.ProcessEnv) => {
  try {
    readConfig(shape, env)
  } catch (error) {
    if (error instanceof StartupError) return startupMessage(error)
    throw error
  }
  return ''
}

test('what is set is read, what is absent or empty has its fallback', () => {
  const env = { T_DATABASE_URL: 'postgres://u:p@h/d/', T_KEY: 'k', T_VERIFY: 'false', T_LEVEL: '', T_PORT: '0' }
  expect(readConfig(shape, env)).toEqual({
    databaseUrl: 'postgres://u:p@h/d',
    port: 0,
    key: 'k',
    ca: undefined,
    peer: undefined,
    verify: false,
    level: 'info',
  })
})

test('all faults are listed in one message, with what would do', () => {
  const message = faultsOf({ T_DATABASE_URL: 'mysql://h', T_PORT: '99999', T_VERIFY: 'yes', T_LEVEL: 'loud' })
  expect(message).toContain('T_DATABASE_URL is not a URL that begins with postgres:// or postgresql://')
  expect(message).toContain('T_PORT=99999 is not a whole number from 0 to 65535')
  expect(message).toContain('T_KEY is not set')
  expect(message).toContain('T_VERIFY=yes is not true or false')
  expect(message).toContain('T_LEVEL=loud is not one of info, debug')
  expect(message).toContain('remedy:')
  expect(message).not.toContain('    at ')
})

test.each(['1.5', '-1', '0x10', '1e3', ' 1', '1 ', 'NaN', '65536'])('%j is no port', (port) => {
  expect(faultsOf({ T_DATABASE_URL: 'postgres://h', T_KEY: 'k', T_PORT: port })).toContain('T_PORT')
})

test('a bad secret is not repeated', () => {
  const message = faultsOf({ T_DATABASE_URL: 'mysql://user:planted-secret@h', T_KEY: 'planted-secret', T_PORT: 'x' })
  expect(message).toContain('T_DATABASE_URL')
  expect(message).not.toContain('planted-secret')
})

test('a key of fewer than 32 bytes is refused, and not repeated', () => {
  const read = (key: string) => readConfig({ key: secretKey('KEY') }, { KEY: key }).key
  expect(read('k'.repeat(32))).toBe('k'.repeat(32))
  expect(() => read('pl4nted')).toThrow(/^KEY is not a secret of at least 32 bytes/)
  expect(() => read('pl4nted')).not.toThrow(/pl4nted/)
})
