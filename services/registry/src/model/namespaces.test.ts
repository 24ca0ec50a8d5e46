import { catalogEvents, typeOf } from '@berth/bus'
import { applyMigrations, type Database, openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { compareNamespaces, noteAnnounced, noteNamespace, noteNamespaceOf, readNamespaces } from './namespaces.ts'

let database: TestDatabase
let db: Database

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'registry', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'registry' })
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})
beforeEach(async () => {
  await db.query('truncate namespace')
})

const known = async () => [...(await readNamespaces(db)).keys()].sort()

test('a comparison takes over the namespaces that are told of, and forgets those that are not', async () => {
  await noteNamespaceOf(db, 'gone/deep/app')
  await noteNamespace(db, 'stays')
  await compareNamespaces(db, await readNamespaces(db), new Set(['stays', 'new']))
  expect(await known()).toEqual(['new', 'stays'])
})

test('a comparison with a list from before does not forget what was made, or made again, since', async () => {
  for (const name of ['again', 'gone']) await noteNamespace(db, name)
  const before = await readNamespaces(db)
  await noteNamespace(db, 'again')
  await noteNamespace(db, 'made')
  await compareNamespaces(db, before, new Set())
  expect(await known()).toEqual(['again', 'made'])
})

test('a namespace is known from its event, and from that of its first repository', async () => {
  await noteAnnounced(db, { type: typeOf(catalogEvents.namespaceCreated), data: { name: 'made' } })
  await noteAnnounced(db, { type: typeOf(catalogEvents.repositoryCreated), data: { name: 'pushed/deep/app' } })
  await noteAnnounced(db, { type: typeOf(catalogEvents.namespaceDeleted), data: { name: 'made' } })
  expect(await known()).toEqual(['made', 'pushed'])
})
