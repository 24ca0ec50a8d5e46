import { mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const prefix = 'berth-test-'

/** A new folder for one server or one test; its name carries our pid, so that what a killed run leaves can be told. */
export function makeTemporaryFolder(label: string): string {
  return mkdtempSync(path.join(os.tmpdir(), `${prefix}${process.pid}-${label}-`))
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

/** The same in memory where the machine has room for it: for what is thrown away and has no need of a disk. */
export function makeFolderInMemory(label: string): string {
  return hasMemory() ? mkdtempSync(path.join(memory, `${prefix}${process.pid}-${label}-`)) : makeTemporaryFolder(label)
}

// Containers often have 64 MB of it.
const memory = '/dev/shm'
const tmpfs = 0x01021994
const enoughBytes = 3 * 2 ** 30

function hasMemory(): boolean {
  try {
    const { type, bavail, bsize } = statfsSync(memory)
    return type === tmpfs && bavail * bsize >= enoughBytes && os.freemem() >= enoughBytes
  } catch (error) {
    // Linux alone has it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Removes the folders of test runs that were killed. */
export function removeFoldersOfDeadRuns(): void {
  for (const place of hasMemory() ? [os.tmpdir(), memory] : [os.tmpdir()])
    for (const entry of readdirSync(place)) {
      const pid = new RegExp(`^${prefix}(\\d+)-`).exec(entry)?.[1]
      if (pid && !isLiving(Number(pid))) removeOwn(path.join(place, entry))
    }
}

function isLiving(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function removeOwn(folder: string): void {
  try {
    removeFolder(folder)
  } catch (error) {
    // Another user's run: theirs to remove.
    if (!['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
