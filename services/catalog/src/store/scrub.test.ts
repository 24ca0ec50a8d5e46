import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobKey } from '@berth/blobs'
import { type CommandClient, commandsOf, type SyncCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { createLogger } from '@berth/service'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { keepBlob } from '../leases/leases.ts'
import { streamRows } from '../served/rows.ts'
import { idOf } from '../testing/catalog.fixture.ts'
import { push, pushImage, runCollector, startYard, stateOf, type Yard } from '../testing/collect.fixture.ts'
import { announceHealed } from './damage.ts'
import { listDamaged } from './lists.ts'
import { repair } from './repair.ts'
import { type Scrubbing, scrub } from './scrub.ts'

const log = createLogger({ service: 'catalog', silent: true })
let yard: Yard
let made = 0
let here: string
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())
beforeEach(() => {
  here = `scrubbed/${made++}`
})

const scrubbing = (more: Partial<Scrubbing> = {}): Scrubbing => ({
  db: yard.db,
  blobs: yard.blobs,
  log,
  since: new Date(Date.now() + 60_000),
  signal: new AbortController().signal,
  ...more,
})
const keyOf = async (digest: Digest): Promise<BlobKey> => ({
  digest,
  generation: (await stateOf(yard, digest))?.generation ?? 0,
})
const fileOf = ({ digest, generation }: BlobKey) => {
  const hex = digest.slice('sha256:'.length)
  return join(yard.folder, 'blobs/sha256', hex.slice(0, 2), `${hex}.${generation}`)
}

/** Turns the first bit of stored bytes, as a bad disk does. */
async function turnByte(layer: Digest): Promise<BlobKey> {
  const key = await keyOf(layer)
  const bytes = await readFile(fileOf(key))
  bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0)
  await writeFile(fileOf(key), bytes)
  return key
}

/** An image of one layer, one byte of which turns on the disk. */
async function rot(text: string): Promise<{ layer: Digest; image: Digest; key: BlobKey }> {
  const layer = await push(yard, here, text)
  const image = await pushImage(yard, here, { name: text, blobs: [layer] }, ['t'])
  const key = await turnByte(layer)
  return { layer, image, key }
}

test('what was healed and rots again is found again, also before anybody heard that it was healed', async () => {
  const { layer } = await rot('rots twice')
  expect(await scrub(scrubbing())).toMatchObject({ rotten: 1 })
  await push(yard, here, 'rots twice')
  expect(await scrub(scrubbing())).toMatchObject({ rotten: 0, found: 0 })
  const key = await turnByte(layer)
  expect(await scrub(scrubbing())).toMatchObject({ rotten: 1, damaged: [{ digest: layer, damage: 'rotten' }] })
  expect(await yard.blobs.stat(key)).toBeUndefined()
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'writing' })
  await push(yard, here, 'rots twice')
  expect(await announceHealed(yard.db)).toHaveLength(1)
})

test('F23: a byte that turned on the disk is found; the blob is served no more and comes back with the next push', async () => {
  const { layer, key } = await rot('rots')
  const result = await scrub(scrubbing())
  expect(result).toMatchObject({ missing: 0, rotten: 1, unreadable: 0, damaged: [{ digest: layer, damage: 'rotten' }] })
  expect(await listDamaged(yard.db, { after: '', limit: 10 })).toMatchObject([{ digest: layer, repositories: [here] }])
  // Nobody can read it, nobody is told that it is there, and the collector keeps its place.
  expect(await yard.blobs.stat(key)).toBeUndefined()
  expect(await keepBlob(yard.db, { repository: here, holder: 'x', digest: layer, ttlSeconds: 60 })).toBeNull()
  await runCollector(yard)
  await expect(pushImage(yard, here, { name: 'names it', blobs: [layer] }, ['u'])).rejects.toThrow('does not have')

  const repositoryId = await idOf(yard.db, here)
  await push(yard, here, 'rots')
  const healed = await keyOf(layer)
  expect(healed.generation).not.toBe(key.generation)
  const changed = await announceHealed(yard.db)
  expect(changed.map((one) => one.repositoryId)).toEqual([repositoryId])
  const rows = await Array.fromAsync(streamRows(yard.db, repositoryId, (changed[0]?.revision ?? 0) - 1))
  expect(rows).toContainEqual({ kind: 'blob-facts', ...healed, placed: expect.any(Number), sizeBytes: 4 })
  expect(await scrub(scrubbing())).toMatchObject({ rotten: 0, missing: 0 })
  expect(await announceHealed(yard.db)).toEqual([])
  const told = await yard.db.query(
    `select event ->> 'type' as type
     from outbox
     where event -> 'data' ->> 'digest' = $1
     order by seq`,
    [layer],
  )
  expect(told).toEqual(['damaged', 'repaired'].map((what) => ({ type: `dev.berth.catalog.blob.${what}.v1` })))
})

test('what is missing is noted, and taken back when it is there again', async () => {
  const layer = await push(yard, here, 'goes away')
  await pushImage(yard, here, { name: 'goes away', blobs: [layer] }, ['t'])
  const key = await keyOf(layer)
  await rename(fileOf(key), `${fileOf(key)}.aside`)
  expect(await scrub(scrubbing())).toMatchObject({ missing: 1, damaged: [{ digest: layer, damage: 'missing' }] })
  expect(await scrub(scrubbing())).toMatchObject({ missing: 1 })
  await rename(`${fileOf(key)}.aside`, fileOf(key))
  expect(await scrub(scrubbing())).toMatchObject({ missing: 0, found: 1 })
  expect(await stateOf(yard, layer)).toEqual({ state: 'present', generation: key.generation })
})

test('what somebody pushed again while it was looked at is left alone', async () => {
  const { layer, key } = await rot('healed meanwhile')
  const blobs: typeof yard.blobs = {
    ...yard.blobs,
    // The second stat of the second look is the one under the lock.
    stat: async (asked) => {
      const stat = await yard.blobs.stat(asked)
      return stat && asked.digest === layer ? { ...stat, modifiedAt: new Date(made++) } : stat
    },
  }
  expect(await scrub(scrubbing({ blobs }))).toMatchObject({ rotten: 0 })
  expect(await stateOf(yard, layer)).toEqual({ state: 'present', generation: key.generation })
  expect(await scrub(scrubbing())).toMatchObject({ rotten: 1 })
})

test('a store that cannot be read says nothing about the bytes', async () => {
  const layer = await push(yard, here, 'unreadable')
  const open: typeof yard.blobs.open = async (key) => {
    if (key.digest === layer) throw new Error('input/output error')
    return yard.blobs.open(key)
  }
  expect(await scrub(scrubbing({ blobs: { ...yard.blobs, open } }))).toMatchObject({
    unreadable: 1,
    rotten: 0,
    missing: 0,
  })
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'present' })
})

test('a gentle pace is kept, and a run that begins again goes on where it was', async () => {
  await push(yard, here, 'x'.repeat(2_000))
  const since = new Date()
  const startedAt = performance.now()
  const first = await scrub(scrubbing({ since, bytesPerSecond: 10_000 }))
  expect(performance.now() - startedAt).toBeGreaterThan((first.checkedBytes / 10_000) * 900)
  expect(await scrub(scrubbing({ since }))).toMatchObject({ checked: 0 })
})

test('a repair brings back what a remote has, within its scope, and reports the rest', async () => {
  const inside = await rot('inside')
  const lost = await push(yard, here, 'lost for good')
  await pushImage(yard, here, { name: 'lost', blobs: [lost] }, ['l'])
  await rm(fileOf(await keyOf(lost)))
  const repositoryId = await idOf(yard.db, here)
  here = `${here}-outside`
  const outside = await rot('outside')
  const asked: SyncCommands['fetch-again']['request'][] = []
  const sync: CommandClient<SyncCommands> = commandsOf<SyncCommands>({
    // The far side, which has one of them.
    call: async <Reply>(_command: string, request: unknown) => {
      const wanted = request as SyncCommands['fetch-again']['request']
      asked.push(wanted)
      if (wanted.blob.digest !== inside.layer) return { remote: null } as Reply
      await yard.blobs.write(
        wanted.blob,
        (async function* () {
          yield Buffer.from('inside')
        })(),
      )
      return { remote: 'upstream' } as Reply
    },
    rows: () => {
      throw new Error('nobody streams here')
    },
    bytes: () => {
      throw new Error('nobody streams here')
    },
    close: async () => undefined,
  })
  const result = await repair({ ...scrubbing({ scope: { repositoryId } }), sync, holder: 'repair:1' })
  expect(result.restored).toEqual([{ digest: inside.layer, remote: 'upstream' }])
  expect(result.lost).toMatchObject([{ digest: lost, damage: 'missing' }])
  expect(asked.every((one) => one.repositoryIds.includes(repositoryId) && !one.blob.isManifest)).toBe(true)
  expect(await stateOf(yard, inside.layer)).toMatchObject({ state: 'present' })
  expect(await announceHealed(yard.db)).toHaveLength(1)
  // Out of scope it was not even looked at.
  expect(await stateOf(yard, outside.layer)).toMatchObject({ state: 'present' })
})
