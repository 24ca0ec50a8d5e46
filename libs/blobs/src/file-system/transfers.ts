import { randomUUID } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { HashThreads } from '../hashing/hash-threads.ts'
import { transferPath, writePath } from '../store/paths.ts'
import { readSource } from '../store/source-reader.ts'
import type { BlobStore } from '../store/store.ts'
import { checkSize } from '../store/verify.ts'
import { moveFile, removeFile, statPath } from './descriptors.ts'
import { orFail } from './failure.ts'
import { receiveFile } from './receive.ts'
import { assertMounted } from './self-test.ts'

type Transfers = Pick<BlobStore, 'writeTransfer' | 'hasTransfers' | 'removeTransfers'>

/** Files that people carry away. Their folders come and go, unlike those of blobs, so nothing is remembered of them. */
export function createTransfers(root: string, threads: HashThreads): Transfers {
  return {
    writeTransfer: (path, source, options = {}) =>
      orFail(`write ${transferPath(path)}`, async () => {
        const place = join(root, transferPath(path))
        const staged = join(root, writePath(randomUUID()))
        const reader = readSource(source, options)
        const how = {
          algorithm: 'sha256',
          threads,
          small: 'flushed',
          check: (received: { sizeBytes: number }) => {
            if (reader.broke) throw reader.broke.cause
            checkSize(received, options.expectedBytes)
          },
        } as const
        try {
          const { sizeBytes } = await receiveFile(staged, reader, how)
          await assertMounted(root)
          await mkdir(dirname(place), { recursive: true, mode: 0o750 })
          await moveFile(staged, place)
          await syncUpTo(root, dirname(place))
          return { sizeBytes, modifiedAt: (await statPath(place))?.mtime ?? new Date() }
        } catch (error) {
          await removeFile(staged)
          throw error
        } finally {
          reader.stop()
        }
      }),
    hasTransfers: (path) =>
      orFail(`look up ${transferPath(path)}`, async () => {
        const found = await statPath(join(root, transferPath(path)))
        if (!found) await assertMounted(root)
        return found !== undefined
      }),
    removeTransfers: (path) =>
      orFail(`remove ${transferPath(path)}`, async () => {
        const place = join(root, transferPath(path))
        const found = await statPath(place)
        if (!found) await assertMounted(root)
        await rm(place, { recursive: true, force: true })
        return found !== undefined
      }),
  }
}

/** Makes the names in a folder and in those above it, up to the root, durable. */
async function syncUpTo(root: string, folder: string): Promise<void> {
  for (let at = folder; at.length >= root.length; at = dirname(at)) {
    const handle = await open(at, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
    if (at === root) return
  }
}
