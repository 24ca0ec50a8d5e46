import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { readConfig, text } from './config.ts'
import { isInjected, knownVariables, refuseUnknownVariables } from './known-variables.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

test('every variable that any part reads is known, and no other', () => {
  const files = ['--include=*.ts', '--include=*.mjs', '--exclude=*.test.ts', '--exclude-dir=node_modules']
  const places = ['libs', 'services', 'deploy', 'e2e']
  const found = spawnSync('grep', ['-rohE', ...files, '\\bBERTH_[A-Z0-9_]+', ...places], {
    cwd: root,
    encoding: 'utf8',
  })
  // Beginnings of names are put together with their ends; tests, docker compose and `berth try` have variables of their own.
  const read = new Set(
    found.stdout
      .split('\n')
      .filter((name) => /[A-Z0-9]$/.test(name) && !/^BERTH_(TEST|K8S_|S3$|TLS$|TRY_URL$|IMAGE$|SUBNET$)/.test(name)),
  )
  const known = new Set(knownVariables())
  expect([...read].filter((name) => !known.has(name))).toEqual([])
  // The addresses of peers are made of their names, and files of secrets of theirs.
  expect([...known].filter((name) => !read.has(name) && !/_(URL|FILE)$/.test(name))).toEqual([])
})

test('a misspelled name is refused with the name that is most like it', () => {
  expect(() => refuseUnknownVariables({ BERTH_DATBASE_URL: 'x', PATH: '/bin' })).toThrow(
    'BERTH_DATBASE_URL is no setting (did you mean BERTH_DATABASE_URL?)',
  )
  refuseUnknownVariables({ BERTH_PORT: '8080', BERTH_TEST_RUNS: '3' })
})

test('the key that all services shared is refused, and what is set instead is said', () => {
  expect(() => refuseUnknownVariables({ BERTH_SERVICE_KEY: 'hunter2' })).toThrow(
    /BERTH_SERVICE_KEY is no setting any more: .*BERTH_SERVICE_PRIVATE_KEY and BERTH_SERVICE_PUBLIC_KEYS/,
  )
  expect(() => refuseUnknownVariables({ BERTH_SERVICE_KEY: 'hunter2' })).not.toThrow('hunter2')
})

test('what Kubernetes puts in for services of its own is neither refused nor read', () => {
  const env = {
    BERTH_PORT: 'tcp://10.0.0.1:8080',
    BERTH_REGISTRY_SERVICE_HOST: '10.0.0.2',
    BERTH_REGISTRY_PORT: 'tcp://10.0.0.2:80',
    BERTH_SERVICE_HOST: '10.0.0.1',
    BERTH_SERVICE_PORT: '8080',
    BERTH_SERVICE_PORT_HTTP: '8080',
    BERTH_PORT_8080_TCP_ADDR: '10.0.0.1',
  }
  refuseUnknownVariables(env)
  expect(Object.entries(env).every(([name, value]) => isInjected(name, value))).toBe(true)
  expect(readConfig({ port: text('BERTH_PORT', { fallback: 'the usual one' }) }, env)).toEqual({
    port: 'the usual one',
  })
})
