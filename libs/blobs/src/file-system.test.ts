import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { blobStoreContract } from './contract/contract.ts'
import { chunksOf, freshBlob, freshId, readAll, type Subject, staged } from './contract/subject.ts'
import type { JournalOptions } from './file-system/journal.ts'
import { createFileSystemStore } from './file-system/store.ts'
import { blobPath } from './store/paths.ts'

// Logs as small as these are closed, flushed and removed all the time while the contract is tried.
const journals = {
  'a file-system blob store': undefined,
  'a file-system blob store with a journal': { owner: 'home.test', limits: { logBytes: 100_000, restMs: 5 } },
  'a file-system blob store that alone has a journal': { owner: 'home.alone', isAlone: true },
}

for (const [name, journal] of Object.entries(journals)) blobStoreContract(name, () => start(journal))

async function start(journal: JournalOptions | undefined): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-blobs-'))
  const store = createFileSystemStore({ root: join(folder, 'root'), journal })
  await writeFile(join(folder, 'file'), '')
  const broken = {
    'not mounted': createFileSystemStore({ root: join(folder, 'unmounted') }),
    'a file in its place': createFileSystemStore({ root: join(folder, 'file') }),
  }
  return {
    store,
    broken,
    damage: (key, bytes) => writeFile(join(folder, 'root', blobPath(key)), bytes),
    async close() {
      await Promise.all([store, ...Object.values(broken)].map((each) => each.close()))
      await rm(folder, { recursive: true })
    },
  }
}

test('bytes that are there already are not written again, and small ones are not looked for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-blobs-'))
  const store = createFileSystemStore({ root: folder })
  try {
    await store.check()
    let asked = 0
    for (const sizeBytes of [100_000, 3_000_000]) {
      const { bytes, key } = freshBlob(sizeBytes)
      await store.write(key, chunksOf(bytes))
      const own = { ...key, generation: key.generation + 1_000 }
      const there = async () => {
        asked += 1
        return key
      }
      const { isThere } = await store.write(own, chunksOf(bytes), { there })
      expect(isThere).toBe(sizeBytes === 3_000_000 ? true : undefined)
      expect((await store.stat(own)) === undefined).toBe(isThere === true)
    }
    expect(asked).toBe(1)
  } finally {
    await store.close()
    await rm(folder, { recursive: true })
  }
})

test('two processes that publish one and the same part at once both succeed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-blobs-'))
  // A store each, as two processes have: they share the files and nothing else.
  const stores = [createFileSystemStore({ root: folder }), createFileSystemStore({ root: folder })] as const
  const [store] = stores
  try {
    await store.check()
    for (let round = 0; round < 100; round++) {
      const { bytes, key } = freshBlob(2_000)
      const part = await store.writePart(freshId(), 0, chunksOf(bytes))
      const published = await Promise.all(stores.map((each) => each.publish([part], key)))
      expect(published.map(({ sizeBytes }) => sizeBytes)).toEqual([2_000, 2_000])
      expect((await readAll(store, key)).equals(bytes)).toBe(true)
    }
    await Promise.all(stores.map((each) => each.compared()))
    expect(await staged(store)).toEqual([])
  } finally {
    await Promise.all(stores.map((each) => each.close()))
    await rm(folder, { recursive: true })
  }
})
