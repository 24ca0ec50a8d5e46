import { randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { BlobStoreError } from '../store/errors.ts'
import { isJournalName, journalOwnerOfName, stagingFolder, unflushedMark, writePath } from '../store/paths.ts'
import { moveFile, removeFile, syncFile, writeSmallFile } from './descriptors.ts'
import { errnoOf, orFail } from './failure.ts'
import { createFolders, type Folders } from './folders.ts'
import { type JournalRecord, readRecords } from './journal-record.ts'

/** What was found in logs: blobs, those of them whose own file was written again, and bytes of appends that never ended. */
export type Replayed = { logs: number; blobs: number; written: number; tornBytes: number }
/** The logs of others are left as they are. */
type Found = { own: string[]; foreign: string[] }

// As many as there are threads for work on files.
const width = 4

/**
 * Makes all blobs in the logs of dead processes durable as files of their own, and removes the logs: those of one owner, of all
 * processes of a home, or all there are. None of the processes may live, and none that reads these blobs may have started. Where it
 * throws the logs stay. Answers the names of logs that it has left too.
 */
export async function replayJournals(
  directory: string,
  owner: string | undefined,
): Promise<Replayed & { foreign: string[] }> {
  const root = resolve(directory)
  const total: Replayed = { logs: 0, blobs: 0, written: 0, tornBytes: 0 }
  const folders = createFolders(root)
  try {
    return await orFail(`replay the journal of ${root}`, async () => {
      const { own, foreign } = await findLogs(root, owner)
      for (const name of own) {
        const one = await replayLog(root, folders, join(root, stagingFolder, name))
        for (const key of Object.keys(one) as (keyof Replayed)[]) total[key] += one[key]
      }
      return { ...total, foreign }
    })
  } finally {
    await folders.close()
  }
}

async function findLogs(root: string, owner: string | undefined): Promise<Found> {
  const names = await readdir(join(root, stagingFolder)).catch((error: unknown) => {
    // Nothing was ever stored there; or it is not mounted, which whoever opens the store finds.
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  })
  const found: Found = { own: [], foreign: [] }
  for (const name of names.filter(isJournalName)) {
    const owned = journalOwnerOfName(name)
    if (owned === undefined)
      throw new BlobStoreError(
        'misconfigured',
        `${stagingFolder}/${name} is no journal that this release knows; a newer one may have left it: start that once, and stop it`,
      )
    const isOwn = owner === undefined || owned === owner || owned.startsWith(`${owner}.`)
    found[isOwn ? 'own' : 'foreign'].push(name)
  }
  return found
}

/**
 * Makes all blobs in one log durable as files of their own, and removes the log. A file that has the right bytes is flushed; one that
 * is missing, cut short or has others is written again. So are all of a log whose files could not be flushed before: what is read
 * of these may be in memory alone, and a second fsync would say nothing of it.
 */
async function replayLog(root: string, folders: Folders, path: string): Promise<Replayed> {
  const { records, tornBytes } = readRecords(await readFile(path))
  const byPlace = new Map(records.map((record) => [record.place, record]))
  const isTrusted = !basename(path).endsWith(unflushedMark)
  const places = [...new Set([...byPlace.keys()].map(dirname))]
  for (const folder of places) await folders.ensure(folder)
  let written = 0
  const left = byPlace.values()
  const restoreAll = async () => {
    for (const record of left) {
      if (isTrusted && (await isDurable(root, record))) continue
      await writeAgain(root, record)
      written += 1
    }
  }
  await Promise.all(Array.from({ length: width }, restoreAll))
  for (const folder of places) await folders.sync(folder)
  await removeFile(path)
  return { logs: 1, blobs: byPlace.size, written, tornBytes }
}

/** A file that cannot be read or flushed is no better than one that is not there: it is written again, or that fails. */
async function isDurable(root: string, { place, bytes }: JournalRecord): Promise<boolean> {
  const path = join(root, place)
  try {
    return bytes.equals(await readFile(path)) && (await syncFile(path))
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return false
  }
}

async function writeAgain(root: string, { place, bytes }: JournalRecord): Promise<void> {
  const staged = join(root, writePath(randomUUID()))
  try {
    await writeSmallFile(staged, bytes)
    await moveFile(staged, join(root, place))
  } catch (error) {
    await removeFile(staged)
    throw error
  }
}
