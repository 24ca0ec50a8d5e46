import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlobStore, checkStoreIdentity, createFileSystemStore, readStoreIdentity } from '@berth/blobs'
import { createLogger } from '@berth/service'
import { afterEach, expect, test } from '@jest/globals'
import { claimStore, storeIdentity } from '../cleaner/claim-store.ts'
import { createLoneCleaner, deletingAlone, renewMark } from '../cleaner/lone-cleaner.ts'
import { carryOutRun } from '../collect/collector.ts'
import { beginRun } from '../collect/runs.ts'
import { type Catalog, startCatalog } from '../testing/catalog.fixture.ts'
import { pushImage, startYard, store, type Yard } from '../testing/collect.fixture.ts'

const open: { stop: () => Promise<void> }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop()
})
const startedYard = async (): Promise<Yard> => opened(await startYard())
const anotherDatabase = async (): Promise<Catalog> => opened(await startCatalog())
function opened<T extends { stop: () => Promise<void> }>(one: T): T {
  open.unshift(one)
  return one
}
const mark = (folder: string) => join(folder, 'berth-cleaner.json')
const quiet = createLogger({ service: 'test', level: 'error', silent: true })

async function emptyStoreIn(folder: string): Promise<BlobStore> {
  await mkdir(folder)
  const blobs = createFileSystemStore({ root: folder })
  await blobs.check()
  opened({ stop: () => blobs.close() })
  return blobs
}

/** A database with all that another one knows of its store and of its marks, as a copy has. */
async function copyIdentity(from: Catalog, to: Catalog): Promise<void> {
  const [row] = await from.db.query<{ id: string; mark: string; next: string }>(
    'select id, mark, next_mark as next from store_identity',
  )
  await to.db.query('insert into store_identity (id, mark, next_mark) values ($1, $2, $3)', [
    row?.id,
    row?.mark,
    row?.next,
  ])
}

test('an empty store becomes the one of the installation that starts first, and stays it', async () => {
  const { db, blobs } = await startedYard()
  await claimStore(db, blobs, undefined)
  expect(await readStoreIdentity(blobs)).toBe(await storeIdentity(db))
  await claimStore(db, blobs, undefined)
  const other = await anotherDatabase()
  const refusal = claimStore(other.db, blobs, undefined)
  await expect(refusal).rejects.toThrow(/belongs to/)
  await expect(refusal).rejects.toMatchObject({ remedy: expect.stringContaining(await storeIdentity(db)) })
})

test('a fresh database does not start on a store with blobs of another life, until it is told to take it over', async () => {
  const yard = await startedYard()
  await store(yard, 'some bytes')
  const { db } = await anotherDatabase()
  await expect(claimStore(db, yard.blobs, undefined)).rejects.toThrow(/of which this database knows none/)
  await expect(claimStore(db, yard.blobs, crypto.randomUUID())).rejects.toThrow(/of which this database knows none/)
  const own = await storeIdentity(db)
  await claimStore(db, yard.blobs, own)
  expect(await readStoreIdentity(yard.blobs)).toBe(own)
})

test('a store from before there were identities is taken over by the database that knows its blobs', async () => {
  const yard = await startedYard()
  await pushImage(yard, 'a', { name: 'a' }, ['a'])
  await claimStore(yard.db, yard.blobs, undefined)
  expect(await readStoreIdentity(yard.blobs)).toBe(await storeIdentity(yard.db))
})

test('a database with content does not start on an empty store, until it is told that what it had is lost', async () => {
  const yard = await startedYard()
  await claimStore(yard.db, yard.blobs, undefined)
  await pushImage(yard, 'a', { name: 'a' }, ['a'])
  const identity = await storeIdentity(yard.db)
  const empty = await emptyStoreIn(join(yard.folder, 'not mounted'))
  const refusal = claimStore(yard.db, empty, undefined)
  await expect(refusal).rejects.toThrow(/blob store is empty/)
  await expect(refusal).rejects.toMatchObject({ remedy: expect.stringContaining(`BERTH_STORE_ADOPT=${identity}`) })
  await expect(claimStore(yard.db, empty, crypto.randomUUID())).rejects.toThrow(/blob store is empty/)
  expect(await readStoreIdentity(empty)).toBeUndefined()
  await claimStore(yard.db, yard.blobs, undefined)
  await claimStore(yard.db, empty, identity)
  await claimStore(yard.db, empty, undefined)
})

test('a database without content may change from one empty store to another', async () => {
  const { db, blobs, folder } = await startedYard()
  await claimStore(db, blobs, undefined)
  const other = await emptyStoreIn(join(folder, 'other'))
  await claimStore(db, other, undefined)
  expect(await readStoreIdentity(other)).toBe(await storeIdentity(db))
})

test('a store whose note was not put back is taken when blobs of the database are in it', async () => {
  const yard = await startedYard()
  await claimStore(yard.db, yard.blobs, undefined)
  await pushImage(yard, 'a', { name: 'a' }, ['a'])
  await rm(join(yard.folder, 'berth-store.json'))
  await claimStore(yard.db, yard.blobs, undefined)
  expect(await readStoreIdentity(yard.blobs)).toBe(await storeIdentity(yard.db))
})

test('registry and sync, which keep a copy of the identity, refuse an empty store too once they know of content', async () => {
  const yard = await startedYard()
  const content = 'select from blob'
  const check = (blobs: BlobStore, adopt?: string) => checkStoreIdentity(yard.db, blobs, { adopt, content })
  const empty = await emptyStoreIn(join(yard.folder, 'not mounted'))
  await check(empty)
  await claimStore(yard.db, yard.blobs, undefined)
  await check(yard.blobs)
  // The store may have been changed before anything was pushed; catalog has yet to take this one.
  await check(empty)
  await pushImage(yard, 'a', { name: 'a' }, ['a'])
  await expect(check(empty)).rejects.toThrow(/blob store is empty/)
  await check(empty, (await storeIdentity(yard.db)).toUpperCase())
  await check(yard.blobs)
})

test('a database that is told to adopt a store has its identity from then on', async () => {
  const { db, blobs } = await startedYard()
  await claimStore(db, blobs, undefined)
  const identity = await storeIdentity(db)
  const other = await anotherDatabase()
  await claimStore(other.db, blobs, identity.toUpperCase())
  expect(await storeIdentity(other.db)).toBe(identity)
  await claimStore(other.db, blobs, undefined)
})

test('of two databases of one identity, the one whose mark is not the last deletes nothing; pushes go on', async () => {
  const yard = await startedYard()
  const { db, blobs, folder } = yard
  await claimStore(db, blobs, undefined)
  const copy = await anotherDatabase()
  await copyIdentity(yard, copy)
  for (let i = 0; i < 3; i++) expect(await renewMark(db, blobs)).toBe(true)
  expect(await renewMark(copy.db, blobs)).toBe(false)
  const cleaner = createLoneCleaner(copy.db, blobs, quiet)
  const guarded: BlobStore = deletingAlone(blobs, cleaner)
  const { digest, generation } = await store(yard, 'needed by the other one')
  await expect(guarded.remove({ digest, generation })).rejects.toThrow(/Another installation/)
  expect(await blobs.stat({ digest, generation })).toBeDefined()
  const run = await beginRun(copy.db, { cause: 'request', taskId: crypto.randomUUID(), graceSeconds: 0 })
  if (!run) throw new Error('no run')
  const parts = { db: copy.db, blobs: guarded, cleaner, log: quiet }
  const signal = new AbortController().signal
  const collecting = carryOutRun(parts, run, { graceSeconds: 0, signal })
  await expect(collecting).rejects.toMatchObject({ code: 'store_shared' })
  // Five minutes after the other one has stopped.
  const at = new Date(Date.now() - 301_000).toISOString()
  await writeFile(mark(folder), JSON.stringify({ mark: crypto.randomUUID(), at }))
  expect(await renewMark(copy.db, blobs)).toBe(true)
  expect(await renewMark(db, blobs)).toBe(false)
})

test('replicas share the mark, and one that is killed between store and database loses nothing', async () => {
  const { db, blobs, folder } = await startedYard()
  await claimStore(db, blobs, undefined)
  expect(await Promise.all([renewMark(db, blobs), renewMark(db, blobs), renewMark(db, blobs)])).toEqual([
    true,
    true,
    true,
  ])
  const [row] = await db.query<{ next: string }>('select next_mark as next from store_identity')
  await writeFile(mark(folder), JSON.stringify({ mark: row?.next, at: new Date().toISOString() }))
  expect(await renewMark(db, blobs)).toBe(true)
})
