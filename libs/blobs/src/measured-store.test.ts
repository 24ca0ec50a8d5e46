import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { asDigest } from '@berth/oci'
import { createMetrics } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { openBlobStore } from './open.ts'
import type { BlobStore } from './store/store.ts'

const digest = asDigest('sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824')
const metrics = createMetrics()
let folder: string
let store: BlobStore

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'measured-'))
  store = await openBlobStore({ blobsDirectory: folder, diskReserveBytes: 0 }, undefined, { metrics })
})
afterAll(async () => {
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

async function count(op: string, result: string): Promise<number> {
  const name = `berth_storage_op_duration_seconds_count{driver="directory",op="${op}",result="${result}"} `
  const line = (await metrics.text()).split('\n').find((one) => one.startsWith(name))
  return Number(line?.slice(name.length) ?? 0)
}
async function* bytes(text: string) {
  yield Buffer.from(text)
}

test('what a store is asked for is counted by how it ended, and bytes that it has taken', async () => {
  await store.write({ digest, generation: 1 }, bytes('hello'))
  await (await store.open({ digest, generation: 1 }))?.close()
  expect(await store.open({ digest, generation: 2 })).toBeUndefined()
  expect(await count('write', 'ok')).toBe(1)
  expect(await count('open', 'ok')).toBe(2)
  expect(await metrics.text()).toMatch(/^berth_storage_written_bytes_total 5$/m)
})

test('bytes of another digest are no failure of the store, and a directory that is gone is', async () => {
  await expect(store.write({ digest, generation: 3 }, bytes('other'))).rejects.toThrow('the bytes have digest')
  expect(await count('write', 'ended')).toBe(1)
  expect(await count('write', 'failed')).toBe(0)
  rmSync(folder, { recursive: true })
  await expect(store.write({ digest, generation: 4 }, bytes('hello'))).rejects.toMatchObject({ name: 'BlobStoreError' })
  expect(await count('write', 'failed')).toBe(1)
})
