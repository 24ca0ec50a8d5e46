import { mkdtempSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mock } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createMetrics } from '@berth/service'
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { chunksOf, freshBlob } from './contract/subject.ts'
import { reserveDisks } from './disk-reserve.ts'
import { measureDisks, refuseBelowReserve, reserveNotes } from './disk-state.ts'
import { openBlobStore } from './open.ts'
import type { BlobStore } from './store/store.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-blobs-'))
afterAll(() => rm(folder, { recursive: true }))

describe('a disk that cannot be asked', () => {
  const other = join(folder, 'other')
  let store: BlobStore
  beforeEach(async () => {
    await mkdir(other)
    const disk = { name: 'BERTH_HOME', label: 'home', folder: other }
    const settings = { blobsDirectory: join(folder, 'root'), diskReserveBytes: 0, s3TimeoutSeconds: 30 }
    store = await openBlobStore(settings, undefined, { others: [disk] })
  })
  afterEach(async () => {
    await store.close()
    await rm(other, { recursive: true, force: true })
  })

  test('refuses writes as a store that does not answer, and takes them once it is back', async () => {
    const { bytes, key } = freshBlob(1000)
    await rm(other, { recursive: true })
    const failure = { name: 'BlobStoreError', code: 'unavailable', message: expect.stringContaining('BERTH_HOME') }
    await expect(store.write(key, chunksOf(bytes))).rejects.toMatchObject(failure)
    await expect(store.writePart('one', 0, chunksOf(bytes))).rejects.toMatchObject(failure)
    await expect(refuseBelowReserve(store)).rejects.toMatchObject({ status: 503, code: 'store_unavailable' })
    await mkdir(other)
    await store.write(key, chunksOf(bytes))
    await refuseBelowReserve(store)
  })

  test('is noted, and is left out of the metrics', async () => {
    const metrics = createMetrics()
    measureDisks(store, metrics)
    expect(await metrics.text()).toContain('berth_disk_free_bytes{disk="home"}')
    expect(await reserveNotes(store)).toEqual({})
    await rm(other, { recursive: true })
    expect(await reserveNotes(store)).toEqual({ writes: 'disk does not answer' })
    const text = await metrics.text()
    expect(text).toContain('berth_build_info')
    expect(text).not.toContain('berth_disk_free_bytes{')
  })
})

describe('a disk that hangs', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }))
  afterEach(() => mock.timers.reset())

  test('holds one thread for files, also beside a disk that fails', async () => {
    const asked: string[] = []
    const disks = ['hangs', 'fails'].map((name) => ({ name, label: name, folder: name }))
    const reserve = reserveDisks(disks, 0, async (name) => {
      asked.push(name)
      if (name === 'fails') throw new Error('gone')
      return new Promise(() => {})
    })
    for (let second = 0; second < 10; second += 1) {
      mock.timers.tick(1000)
      await nextTurn()
    }
    void reserve.refuse()
    void reserve.states()
    expect(asked).toEqual(['hangs', 'fails'])
    reserve.stop()
  })
})
