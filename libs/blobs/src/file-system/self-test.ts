import { randomUUID } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BlobStoreError } from '../store/errors.ts'
import { blobsFolder, markName, stagingFolder, writePath } from '../store/paths.ts'
import { moveFile, removeFile, statPath, syncFolder, writeSmallFile } from './descriptors.ts'
import { orFail } from './failure.ts'
import type { Folders } from './folders.ts'
import { placeText } from './notes.ts'

/**
 * Makes the store's folders and goes once through every step of a write: write, fsync, rename out of staging, fsync of
 * the folder, read, remove. So a root that is read-only, full, or made of two mounts is found at the start.
 */
export async function testRoot(root: string, folders: Folders): Promise<void> {
  await orFail(`use ${root} as a blob store`, async () => {
    await mkdir(root, { recursive: true, mode: 0o750 })
    await folders.ensure(stagingFolder)
    await folders.ensure(blobsFolder)
    const name = `check-${randomUUID()}`
    const staged = join(root, writePath(name))
    const placed = join(root, blobsFolder, name)
    try {
      await writeSmallFile(staged, Buffer.from(name))
      await moveFile(staged, placed)
      await syncFolder(join(root, blobsFolder))
      if ((await readFile(placed, 'utf8')) !== name) {
        throw new BlobStoreError('damaged', `${root} does not give back what was written; check its disk`)
      }
    } finally {
      await Promise.all([removeFile(staged), removeFile(placed)])
    }
    await placeMark(root)
  })
}

/**
 * Throws when the root is not the store that was checked: an unmounted volume leaves an empty folder behind, in which
 * every blob would seem to be absent.
 */
export async function assertMounted(root: string): Promise<void> {
  if (await statPath(join(root, markName))) return
  throw new BlobStoreError('unavailable', `${root} has no ${markName}: its volume is not mounted, or nobody checked it`)
}

async function placeMark(root: string): Promise<void> {
  if (await statPath(join(root, markName))) return
  await placeText(root, markName, `${JSON.stringify({ store: 'berth-blobs', layout: 1 })}\n`)
}
