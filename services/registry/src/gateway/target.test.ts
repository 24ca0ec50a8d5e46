import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { ServedDistribution } from '@berth/commands'
import { OciError } from '@berth/oci'
import { applyMigrations, createLogger, type Database, openDatabase } from '@berth/service'
import { makeDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Caller, createGatekeeper } from '../access/authorize.ts'
import { schemaParts } from '../db/schema-parts.ts'
import { noteNamespace } from '../model/namespaces.ts'
import { createPointerReader } from '../model/pointer.ts'
import { writePullThrough } from '../model/pull-through.ts'
import { lockServed, writeDistribution } from '../model/rows.ts'
import { answerAtRoot } from './root.ts'
import { enter, namesOf, type Place, placeOf } from './target.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
let db: Database
let asked = 0
const hubId = randomUUID()
const log = createLogger({ service: 'registry', silent: true })

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
      mirrorOfRoot: false,
      access: 'private',
      revision: 1,
      deleted: false,
    }),
  )
  await noteNamespace(db, 'team')
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

const stranger: Caller = {
  actor: { id: null, name: 'anonymous' },
  isAdmin: false,
  may: () => false,
  mayChange: () => false,
  named: [],
  ownerId: null,
}
const request = { method: 'GET', headers: { host: 'berth' }, socket: {} } as IncomingMessage

type Asking = { namespace?: string; isComplete?: boolean; atRoot?: (place: Place) => Promise<void> }

/** Where a pull of a manifest by a stranger is answered from, or how it is refused, and how many queries that takes. */
async function pull(
  repository: string,
  { namespace, isComplete = true, atRoot = async () => {} }: Asking = {},
): Promise<{ told: string; queries: number }> {
  const gatekeeper = createGatekeeper({ externalUrl: undefined } as Parameters<typeof createGatekeeper>[0])
  const naming = { repository, namespace: namespace ?? null, isWrite: false }
  const deps = {
    db,
    readPointer: createPointerReader(db, async () => {}),
    follower: { isComplete: () => isComplete },
    log,
  }
  const answering = { response: { headersSent: false }, signal: new AbortController().signal, requestId: 'test' }
  const reading = {
    ...answering,
    request,
    kind: 'manifest',
    naming,
    caller: stranger,
  } as const
  asked = 0
  const told = await (async () => {
    const names = await namesOf(db, naming)
    const plain = placeOf(deps, repository)
    let root = ''
    const answer = async (place: Place) => {
      await atRoot(place)
      root = place.basePath
    }
    if (await answerAtRoot(deps, reading, plain, answer)) return root
    const who = { request, caller: stranger, actions: ['pull'] } as const
    return (await enter(deps, gatekeeper, who, { names, naming, plain })).place.basePath
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
  const none = await pull('private', { namespace: 'another.example.com' })
  expect(none.told).toContain('log in')
  for (const name of ['private', 'missing'])
    expect(await pull(name, { namespace: 'registry.example.com' })).toEqual(none)
  expect((await pull('team/public', { namespace: 'registry.example.com' })).told).toBe('NAME')
})

describe('with a mirror of the root', () => {
  let refused: { told: string; queries: number }
  const fails = (error: OciError) => ({
    atRoot: async () => {
      throw error
    },
  })

  beforeAll(async () => {
    refused = await pull('elsewhere/app')
    await db.transaction((sql) =>
      writePullThrough(sql, {
        id: randomUUID(),
        basePath: 'mirrored',
        remoteId: randomUUID(),
        host: 'root.example.com',
        ttlSeconds: 60,
        trigger: 'anonymous',
        mirrorOfRoot: true,
        access: 'public',
        revision: 3,
        deleted: false,
      }),
    )
    await serve({ basePath: 'mirrored/elsewhere/apart', access: 'private' })
  })

  test('a name of nobody here is looked for there', async () => {
    expect((await pull('elsewhere/app')).told).toBe('mirrored/NAME')
  })

  test('a name that is here, or in a namespace that is, is answered as without, for the same number of queries', async () => {
    expect(refused.told).toContain('log in')
    for (const name of ['team/private', 'team/missing', 'hub/private', 'hub/missing', 'team'])
      expect(await pull(name)).toEqual(refused)
    expect(await pull('team/public')).toEqual({ told: 'NAME', queries: 1 })
  })

  test('what the mirror has not, cannot get now or shows not everybody is refused as without', async () => {
    const unknown = new OciError('MANIFEST_UNKNOWN', 'mirrored has none')
    for (const error of [unknown, new OciError('UNAVAILABLE', 'upstream is away')])
      expect((await pull('elsewhere/app', fails(error))).told).toBe(refused.told)
    expect((await pull('elsewhere/apart')).told).toBe(refused.told)
  })

  test('who names a registry means that one', async () => {
    expect((await pull('elsewhere/app', { namespace: 'another.example.com' })).told).toBe(refused.told)
  })

  test('before all that is here is known, nothing is taken for a name of elsewhere', async () => {
    expect((await pull('elsewhere/app', { isComplete: false })).told).toBe(refused.told)
  })

  test('a namespace that was made a moment ago has its names to itself', async () => {
    await noteNamespace(db, 'moment')
    expect((await pull('moment/app')).told).toBe(refused.told)
  })
})
