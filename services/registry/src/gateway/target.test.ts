import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { ServedDistribution } from '@berth/commands'
import { applyMigrations, type Database, openDatabase } from '@berth/service'
import { makeDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Caller, createGatekeeper } from '../access/authorize.ts'
import { schemaParts } from '../db/schema-parts.ts'
import { createPointerReader } from '../model/pointer.ts'
import { writePullThrough } from '../model/pull-through.ts'
import { lockServed, writeDistribution } from '../model/rows.ts'
import { enter, namesOf } from './target.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
let db: Database
let asked = 0
const hubId = randomUUID()

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'registry', parts: schemaParts })
  const real = openDatabase({ url: database.url, schema: 'registry' })
  db = {
    ...real,
    query: async (text, values) => {
      asked++
      return real.query(text, values)
    },
    prepared: async (name, text, values) => {
      asked++
      return real.prepared(name, text, values)
    },
  }
  await db.transaction((sql) =>
    writePullThrough(sql, {
      id: hubId,
      basePath: 'hub',
      remoteId: randomUUID(),
      host: 'registry.example.com',
      ttlSeconds: 60,
      trigger: 'users',
      access: 'private',
      revision: 1,
      deleted: false,
    }),
  )
  await serve({ basePath: 'team/private', access: 'private' })
  await serve({ basePath: 'team/public', access: 'public' })
  await serve({ basePath: 'hub/private', access: 'private', via: hubId })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

async function serve(more: Pick<ServedDistribution, 'basePath' | 'access'> & { via?: string }): Promise<void> {
  const repositoryId = randomUUID()
  await db.transaction(async (sql) => {
    await lockServed(sql, repositoryId)
    await writeDistribution(sql, {
      id: randomUUID(),
      repositoryId,
      version: null,
      redirect: false,
      warning: null,
      convertToSchema1: false,
      via: null,
      revision: 2,
      deleted: false,
      ...more,
    })
  })
}

const stranger: Caller = { subject: '', isAdmin: false, may: () => false, pulls: [] }
const request = { headers: { host: 'berth' }, socket: {} } as IncomingMessage

/** How a pull by a stranger is answered, and how many queries that takes. */
async function pull(repository: string, namespace: string | null = null) {
  const gatekeeper = createGatekeeper({ externalUrl: undefined } as Parameters<typeof createGatekeeper>[0])
  const naming = { repository, namespace, isWrite: false }
  const reading = { db, readPointer: createPointerReader(db) }
  asked = 0
  const told = await (async () => {
    const names = await namesOf(db, naming)
    const { place } = await enter(
      reading,
      gatekeeper,
      { request, caller: stranger, actions: ['pull'] },
      { names, naming },
    )
    return place.basePath
  })().catch((error: Error) => `${error.message} ${JSON.stringify(error)}`)
  return { told: told.replaceAll(repository, 'NAME'), queries: asked }
}

test('a private name and a missing one are refused alike, for the same number of queries', async () => {
  const missing = await pull('team/missing')
  expect(missing.told).toContain('log in')
  for (const name of ['team/private', 'hub/private', 'hub/missing', 'one-word'])
    expect(await pull(name)).toEqual(missing)
  expect(await pull('team/public')).toEqual({ told: 'NAME', queries: 1 })
})

test('a registry for which a private distribution stands is refused as one for which none does', async () => {
  const none = await pull('private', 'another.example.com')
  expect(none.told).toContain('log in')
  for (const name of ['private', 'missing']) expect(await pull(name, 'registry.example.com')).toEqual(none)
  expect((await pull('team/public', 'registry.example.com')).told).toBe('NAME')
})
