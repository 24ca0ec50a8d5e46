import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  makeDatabase,
  makeSelfSigned,
  makeSigned,
  type ServiceProcess,
  startProcess,
  type TestDatabase,
  until,
} from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const password = 'the password of the admin'
const authority = makeSelfSigned('authority')
const folder = mkdtempSync(path.join(tmpdir(), 'berth-tasks-tls-'))
let database: TestDatabase
let auth: ServiceProcess
let tasks: ServiceProcess

/** Writes what a service shows and believes, and answers the settings that say so. */
function filesOf(service: string, ca = authority): Record<string, string> {
  const { cert, key } = makeSigned(['localhost', service], 'authority', authority)
  const files = Object.entries({ CERT: cert, KEY: key, CA: ca.cert }).map(([name, text]) => {
    const file = path.join(folder, `${service}-${name}`)
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
    return [`BERTH_INTERNAL_TLS_${name}`, file]
  })
  return Object.fromEntries(files) as Record<string, string>
}
const addressesOf = (url: string) =>
  Object.fromEntries(
    ['AUTH', 'BUILD', 'CATALOG', 'REGISTRY', 'SYNC', 'TASKS'].map((name) => [`BERTH_${name}_URL`, url]),
  )

beforeAll(async () => {
  database = await makeDatabase()
  const nowhere = addressesOf('https://localhost:1')
  auth = await startProcess('auth', database.url, { ...nowhere, ...filesOf('auth'), BERTH_ADMIN_PASSWORD: password })
  tasks = await startProcess('tasks', database.url, {
    ...nowhere,
    ...filesOf('tasks', makeSelfSigned('somebody else')),
    BERTH_AUTH_URL: `https://localhost:${new URL(auth.internalUrl).port}`,
    // The log says that a certificate was refused, which this test wants.
    BERTH_LOG_OUTPUT: 'stdout',
  })
})
afterAll(async () => {
  await tasks?.stop()
  await auth?.stop()
  await database?.drop()
  rmSync(folder, { recursive: true })
})

/** The status that tasks answers to a login that it has to ask auth about, at the internal listener of auth. */
async function answered(given: string): Promise<number> {
  const authorization = `Basic ${Buffer.from(`admin:${given}`).toString('base64')}`
  return (await fetch(`${tasks.url}/api/v1/tasks`, { headers: { authorization } })).status
}

test('services ask each other encrypted once each believes the authority of the other, without a restart, and take no plain http', async () => {
  expect(await answered(password)).toBe(503)
  filesOf('tasks')
  await until(async () => (await answered(password)) === 200)
  expect(await answered('another password')).toBe(401)
  for (const { internalUrl } of [auth, tasks]) await expect(fetch(internalUrl)).rejects.toThrow('fetch failed')
})
