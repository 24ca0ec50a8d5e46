import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blobStoreContract } from './contract/contract.ts'
import { createFileSystemStore } from './file-system/store.ts'

blobStoreContract('a file-system blob store', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-blobs-'))
  const store = createFileSystemStore({ root: join(folder, 'root') })
  await writeFile(join(folder, 'file'), '')
  const broken = {
    'not mounted': createFileSystemStore({ root: join(folder, 'unmounted') }),
    'a file in its place': createFileSystemStore({ root: join(folder, 'file') }),
  }
  return {
    store,
    broken,
    async close() {
      await Promise.all([store, ...Object.values(broken)].map((each) => each.close()))
      await rm(folder, { recursive: true })
    },
  }
})
