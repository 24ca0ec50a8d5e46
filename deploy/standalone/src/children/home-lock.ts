import { chmodSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { StartupError } from '@berth/service'
import { startOf } from './identity.ts'

export type HomeLock = { release(): void }

/** What is said of a folder that another process has, and of one that cannot be written to. */
export type LockWords = {
  taken(pid: number): StartupError
  closed(code: string | undefined, cause: unknown): StartupError
}

/** Takes the home for this process. Throws StartupError as `lockFolder` does. */
export function lockHome(home: string): HomeLock {
  return lockFolder(home, {
    taken: (pid) =>
      new StartupError(
        `another Berth (pid ${pid}) is using ${home}`,
        `stop it (kill ${pid}), or set BERTH_HOME to another directory for this one`,
      ),
    closed: (code, cause) =>
      new StartupError(
        `the data directory ${home} cannot be written to (${code})`,
        'make it writable for this user, or set BERTH_HOME to a directory that is',
        { cause },
      ),
  })
}

/**
 * Takes a folder for this process, against all others of this machine. Throws StartupError when another living process has it, or when it
 * cannot be written to. The lock of a killed process is taken over.
 */
export function lockFolder(home: string, words: LockWords): HomeLock {
  const lock = path.join(home, 'lock')
  const own = `${lock}.${process.pid}`
  const identity = `${process.pid} ${startOf(process.pid)}\n`
  makeWritableHome(home, { own, identity }, words)
  try {
    for (;;) {
      if (tryLink(own, lock)) break
      const seen = readLock(lock)
      if (seen === identity) break
      if (seen !== undefined) removeDead(lock, seen, words)
    }
  } finally {
    rmSync(own, { force: true })
  }
  return {
    release: () => {
      if (readLock(lock) === identity) rmSync(lock)
    },
  }
}

// The identity is in the file before it gets the lock's name, so an empty lock is never read.
function makeWritableHome(home: string, { own, identity }: { own: string; identity: string }, words: LockWords): void {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    keepOthersOut(home)
    writeFileSync(own, identity)
  } catch (cause) {
    throw words.closed((cause as NodeJS.ErrnoException).code, cause)
  }
}

/**
 * Closes the folder to other users, because it holds keys, the log and all images. One of another owner, as volumes often are,
 * stays as it is.
 */
function keepOthersOut(home: string): void {
  const { mode, uid } = statSync(home)
  if ((mode & 0o077) !== 0 && uid === process.geteuid?.()) chmodSync(home, 0o700)
}

function tryLink(own: string, lock: string): boolean {
  try {
    linkSync(own, lock)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function readLock(lock: string): string | undefined {
  try {
    return readFileSync(lock, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function removeDead(lock: string, seen: string, words: LockWords): void {
  if (isLiving(seen)) throw words.taken(Number(seen.split(' ')[0]))
  // Two that start at once may both find the dead lock. The one that is late would take away the living lock of the
  // other, so it is moved aside, looked at, and put back.
  const aside = `${lock}.dead.${process.pid}`
  try {
    renameSync(lock, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (isLiving(readFileSync(aside, 'utf8'))) tryLink(aside, lock)
  rmSync(aside)
}

function isLiving(identity: string): boolean {
  const [pid = '', ...start] = identity.trim().split(' ')
  return startOf(Number(pid)) === start.join(' ')
}
