import { randomUUID } from 'node:crypto'
import { type CatalogCommands, commandsOf, type LastPull } from '@berth/commands'
import type { Digest } from '@berth/oci'
import {
  closeServer,
  createInternalClient,
  createInternalServer,
  createLogger,
  type InternalClient,
  listen,
  Problem,
} from '@berth/service'
import { privateKeyOf, publicKeys, until } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { gatherPulls } from './last-pulls.ts'

const log = createLogger({ service: 'registry', silent: true })
const repository = randomUUID()
const digestOf = (i: number) => `sha256:${String(i).padStart(64, '0')}` as Digest

let client: InternalClient
let stopCatalog: () => Promise<void>
let received: LastPull[][] = []
let refused = 0
let isAway = false

// Catalog, as it answers over HTTP.
const commands = {
  'record-pulls': async ({ pulls }: { pulls: LastPull[] }) => {
    if (isAway) {
      refused++
      throw new Problem(500, 'away', 'The database of catalog is away.')
    }
    received.push(pulls)
    return {}
  },
}

beforeAll(async () => {
  const catalog = createInternalServer({ service: 'catalog', publicKeys, log, commands })
  const { server, port } = await listen(catalog, { port: 0, host: '127.0.0.1' })
  stopCatalog = () => closeServer(server, 0)
  client = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'registry',
    to: 'catalog',
    privateKey: privateKeyOf('registry'),
  })
})
afterAll(async () => {
  await client?.close()
  await stopCatalog?.()
})
beforeEach(() => {
  received = []
  refused = 0
  isAway = false
})

const gather = (more: { sendEveryMs?: number; mostKept?: number } = {}) =>
  gatherPulls({ catalog: commandsOf<CatalogCommands>(client), log, ...more })
const names = () =>
  received
    .flat()
    .map(({ tag, digest }) => String(tag ?? digest))
    .sort()

test('what was pulled is sent once, with its last time, however often it was pulled', async () => {
  const pulls = gather({ sendEveryMs: 20 })
  const before = Date.now()
  for (let i = 0; i < 100; i++) pulls.note(repository, { tag: 'latest', digest: digestOf(1) })
  pulls.note(repository, { tag: undefined, digest: digestOf(2) })
  await until(async () => received.length > 0)
  // A batch follows only when the one before was acknowledged; one under way at the stop may be sent once more.
  pulls.note(repository, { tag: undefined, digest: digestOf(3) })
  await until(async () => names().includes(digestOf(3)))
  await pulls.stop()
  expect(names().filter((name) => name !== digestOf(3))).toEqual([digestOf(1), digestOf(2), 'latest'].sort())
  for (const { at, repositoryId } of received.flat()) {
    expect(repositoryId).toBe(repository)
    expect(at).toBeGreaterThanOrEqual(before)
    expect(at).toBeLessThanOrEqual(Date.now())
  }
})

test('what catalog could not take is sent later, with what came meanwhile', async () => {
  isAway = true
  const pulls = gather({ sendEveryMs: 20 })
  pulls.note(repository, { tag: 'old', digest: digestOf(1) })
  await until(async () => refused > 1)
  pulls.note(repository, { tag: 'new', digest: digestOf(1) })
  isAway = false
  await until(async () => names().includes('new'))
  await pulls.stop()
  expect(new Set(names())).toEqual(new Set([digestOf(1), 'new', 'old']))
})

test('the rest is sent at the stop, in batches', async () => {
  const pulls = gather()
  for (let i = 0; i < 2500; i++) pulls.note(repository, { tag: undefined, digest: digestOf(i) })
  await pulls.stop()
  expect(received.map((batch) => batch.length)).toEqual([1000, 1000, 500])
})

test('memory is bounded while catalog is away: what is known goes on, new names are left out', async () => {
  isAway = true
  const pulls = gather({ sendEveryMs: 20, mostKept: 10 })
  for (let i = 0; i < 1000; i++) pulls.note(repository, { tag: undefined, digest: digestOf(i) })
  await until(async () => refused > 2)
  for (let i = 0; i < 1000; i++) pulls.note(repository, { tag: undefined, digest: digestOf(i) })
  isAway = false
  await until(async () => received.length > 0)
  await pulls.stop()
  expect(names()).toEqual(Array.from({ length: 10 }, (_, i) => digestOf(i)))
})
