import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
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

/** Removes the folders of test runs that were killed. */
export function removeFoldersOfDeadRuns(): void {
  for (const entry of readdirSync(os.tmpdir())) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(entry)?.[1]
    if (pid && !isLiving(Number(pid))) removeOwn(path.join(os.tmpdir(), entry))
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
