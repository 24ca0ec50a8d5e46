import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { BlobStoreError } from '../store/errors.ts'
import type { Healing } from '../store/healing.ts'
import { blobPath, writePath } from '../store/paths.ts'
import type { BlobKey, BlobStat } from '../store/store.ts'
import { moveFile, moveFileNow, removeFile, statPath, statPathNow, syncFile, writeFileNow } from './descriptors.ts'
import { errnoOf } from './failure.ts'
import type { Folders } from './folders.ts'

/** Moves a verified, durable file into its place. Calls that commit one key at once take turns; all succeed. */
export type Commit = (stagedPath: string, key: BlobKey, sizeBytes: number) => Promise<BlobStat>

export function createCommit(root: string, folders: Folders, healing: Pick<Healing, 'keep'>): Commit {
  const turns = new Map<string, Promise<unknown>>()

  return (stagedPath, key, sizeBytes) => {
    const place = blobPath(key)
    const keep = () => healing.keep({ staged: stagedPath, key, sizeBytes })
    const work = () => moveIntoPlace(root, folders, { stagedPath, place, sizeBytes, keep })
    const turn = (turns.get(place) ?? Promise.resolve()).then(work, work)
    turns.set(place, turn)
    const leave = () => {
      if (turns.get(place) === turn) turns.delete(place)
    }
    turn.then(leave, leave)
    return turn
  }
}

/** `false` when another process that ends the same upload has moved the file since we looked: two replicas take no turns. */
async function moveUnlessGone(stagedPath: string, path: string): Promise<boolean> {
  try {
    await moveFile(stagedPath, path)
    return true
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || (await statPath(stagedPath))) throw error
    return false
  }
}

/** `keep` takes over the staged file where it is not needed, for there is one of its size. */
type Move = { stagedPath: string; place: string; sizeBytes: number; keep: () => Promise<void> }

async function moveIntoPlace(
  root: string,
  folders: Folders,
  { stagedPath, place, sizeBytes, keep }: Move,
): Promise<BlobStat> {
  const folder = dirname(place)
  await folders.ensure(folder)
  const path = join(root, place)
  const found = await statPath(path)
  if (found?.isFile() && found.size === sizeBytes) {
    await keep()
    // Another process may have renamed it a moment ago and not have synced the folder yet.
    await folders.sync(folder)
    return { sizeBytes, modifiedAt: found.mtime }
  }
  // A file of another size is no blob of this digest but damage; verified bytes take its place. A folder makes this fail.
  if (!(await moveUnlessGone(stagedPath, path))) {
    const published = await statPath(path)
    if (published?.size !== sizeBytes) throw new BlobStoreError('missing_part', `${stagedPath} is gone`)
    await folders.sync(folder)
    return { sizeBytes, modifiedAt: published.mtime }
  }
  try {
    await folders.sync(folder)
  } catch (error) {
    // The name may be lost at a power cut, so it must not be seen now either. Calls that wait their turn have not
    // relied on it yet.
    await removeFile(path)
    throw error
  }
  return { sizeBytes, modifiedAt: new Date() }
}

/** Verified bytes of a small blob, and the path of a part that has them already. */
export type SmallBlob = { bytes: Uint8Array; part?: string | undefined }

/**
 * Writes a small file into its place, unflushed, for its bytes are in the journal. Written elsewhere and moved, as any other: who reads the
 * folder meanwhile, a backup too, sees all of it or nothing. By calls that hold up everything while they wait, and that hardly ever
 * do: the disk has just taken an append, and what they change is in memory.
 */
export async function putSmallFile(
  root: string,
  key: BlobKey,
  { bytes, part }: SmallBlob,
  healing: Pick<Healing, 'keep'>,
): Promise<BlobStat> {
  const path = join(root, blobPath(key))
  const sizeBytes = bytes.length
  // Another call may have moved the part, or discarded it.
  const isStaged = part !== undefined && statPathNow(part)?.size === sizeBytes
  const staged = isStaged ? part : join(root, writePath(randomUUID()))
  try {
    if (!isStaged) writeFileNow(staged, bytes)
    const found = statPathNow(path)
    if (found?.isFile() && found.size === sizeBytes) {
      await healing.keep({ staged, key, sizeBytes })
      return { sizeBytes, modifiedAt: found.mtime }
    }
    moveFileNow(staged, path)
    return { sizeBytes, modifiedAt: new Date() }
  } catch (error) {
    if (!isStaged) await removeFile(staged)
    throw error
  }
}

/** Puts a verified file in the place of a damaged one. Another process may have done so with the same file. */
export async function replaceFile(root: string, folders: Folders, stagedPath: string, key: BlobKey): Promise<void> {
  const place = blobPath(key)
  await folders.ensure(dirname(place))
  // One that came with a journal is not flushed yet, and the log that has its bytes may be gone by now.
  await syncFile(stagedPath)
  if (await moveUnlessGone(stagedPath, join(root, place))) await folders.sync(dirname(place))
}
