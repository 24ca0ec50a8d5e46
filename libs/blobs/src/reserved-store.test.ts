import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { freshBlob } from './contract/subject.ts'
import { reserveDisks } from './disk-reserve.ts'
import { createFileSystemStore } from './file-system/store.ts'
import { withReserve } from './reserved-store.ts'

test('a source that is broken off because the disk gets below its reserve lets go of what it holds', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-blobs-'))
  const chunk = Buffer.alloc(1 << 20)
  // Room for one chunk and a half above what is kept.
  const ask = async () => ({ bsize: 1, blocks: 100 << 20, bavail: 10 << 20 })
  const disk = { name: 'BERTH_BLOBS_DIR', label: 'blobs', folder }
  const reserve = reserveDisks([disk], (10 << 20) - 1.5 * chunk.length, ask)
  const store = withReserve(createFileSystemStore({ root: folder }), reserve)
  const ended: string[] = []
  async function* held(what: string) {
    try {
      for (let count = 0; count < 4; count++) yield chunk
    } finally {
      ended.push(what)
    }
  }
  try {
    await store.check()
    await expect(store.write(freshBlob(1).key, held('blob'))).rejects.toMatchObject({ code: 'below_reserve' })
    await expect(store.writePart('one', 0, held('part'))).rejects.toMatchObject({
      cause: { code: 'below_reserve' },
      part: { sizeBytes: chunk.length },
    })
    expect(ended).toEqual(['blob', 'part'])
  } finally {
    await store.close()
    await rm(folder, { recursive: true })
  }
})
