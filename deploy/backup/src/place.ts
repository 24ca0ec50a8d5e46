import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { BlobKey } from '@berth/blobs'
import { StartupError } from '@berth/service'

/**
 * A folder with backups: `blobs`, a store that all of them share, and for each one a folder with its name, the time at which it began.
 * `backup.json` is written last: a backup without it is none.
 */
export type BackupPlace = { folder: string; blobs: string }
export type Backup = { name: string; folder: string; summary: Summary }
/** What is written down of a backup. `gone`: objects that nothing needed and that were collected while it was made. */
export type Summary = {
  format: 1
  version: string
  startedAt: string
  finishedAt: string
  installation: string
  objects: number
  bytes: number
  gone: number
}
/** One line of the list of what a backup holds. */
export type Listed = BlobKey & { sizeBytes: number; isCandidate: boolean }

const summaryFile = 'backup.json'
const listFile = 'blobs.jsonl'
export const dumpFile = 'database.dump'
export const secretsFile = 'secrets.json'
const nameShape = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$/

export function placeAt(folder: string): BackupPlace {
  return { folder, blobs: path.join(folder, 'blobs') }
}

/** Makes the folder of a backup that begins now; nobody else may read it. */
export function beginBackup(place: BackupPlace, startedAt: Date): { name: string; folder: string } {
  const name = startedAt.toISOString().replaceAll(/[:.]/g, '-')
  const folder = path.join(place.folder, name)
  mkdirSync(place.folder, { recursive: true, mode: 0o700 })
  mkdirSync(folder, { mode: 0o700 })
  return { name, folder }
}

export function writeList(folder: string, objects: readonly Listed[]): void {
  const lines = objects.map((object) => `${JSON.stringify(object)}\n`)
  writeFileSync(path.join(folder, listFile), lines.join(''), { mode: 0o600, flush: true })
}

export async function* readList(folder: string): AsyncIterable<Listed> {
  for await (const line of createInterface({ input: createReadStream(path.join(folder, listFile)) }))
    yield JSON.parse(line) as Listed
}

export function endBackup(folder: string, summary: Summary): void {
  const file = path.join(folder, summaryFile)
  writeFileSync(`${file}.part`, `${JSON.stringify(summary, null, 2)}\n`, { mode: 0o600, flush: true })
  renameSync(`${file}.part`, file)
}

/** The backups of a place that were ended, the oldest first. */
export function listBackups(place: BackupPlace): Backup[] {
  return namesIn(place)
    .map((name) => ({ name, folder: path.join(place.folder, name) }))
    .filter(({ folder }) => existsSync(path.join(folder, summaryFile)))
    .map((one) => ({
      ...one,
      summary: JSON.parse(readFileSync(path.join(one.folder, summaryFile), 'utf8')) as Summary,
    }))
}

function namesIn({ folder }: BackupPlace): string[] {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => nameShape.test(name)) : []
  return names.toSorted()
}

/** The folders of all backups whose objects are known, also of those that were not ended. */
export function foldersWithList(place: BackupPlace): string[] {
  const folders = namesIn(place).map((name) => path.join(place.folder, name))
  return folders.filter((folder) => existsSync(path.join(folder, listFile)))
}

/** The backup of a name, or the last one. Throws `StartupError` when there is none. */
export function findBackup(place: BackupPlace, name: string | undefined): Backup {
  const all = listBackups(place)
  const found = name === undefined ? all.at(-1) : all.find((one) => one.name === name)
  if (found) return found
  const there = all.map((one) => one.name).join(', ') || 'none'
  throw new StartupError(
    name === undefined ? `there is no backup in ${place.folder}` : `there is no backup "${name}" in ${place.folder}`,
    `there are: ${there}`,
  )
}

/** Removes what is older than the last `kept` backups, and what was begun before them and not ended. */
export function removeOlder(place: BackupPlace, kept: number): string[] {
  const first = listBackups(place).at(-kept)?.name
  const old = first === undefined ? [] : namesIn(place).filter((name) => name < first)
  for (const name of old) rmSync(path.join(place.folder, name), { recursive: true })
  return old
}
