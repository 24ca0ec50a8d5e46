import { readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { StartupError } from '@berth/service'
import { commandOf, startOf, workingFolderOf } from '../children/identity.ts'

// Fast shutdown first; then immediate, which leaves recovery to the next start; then backends that outlived their
// postmaster.
const signals = ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const
const patienceMs = { SIGINT: 10_000, SIGQUIT: 5000, SIGKILL: 5000 }

/**
 * Clears a data directory for a new postmaster: stops a PostgreSQL that still works on it, and removes a postmaster.pid
 * whose pid now belongs to a stranger, who is not touched. Call it while holding the home's lock.
 * Throws StartupError when the predecessor cannot be ended.
 */
export async function clearPredecessor(dataFolder: string): Promise<void> {
  for (const signal of signals) {
    const living = processesOn(dataFolder)
    if (living.length === 0) break
    // The postmaster takes its children along, and ending them before it would make it restart them.
    const postmaster = living.filter((pid) => pid === pidInFile(dataFolder))
    for (const pid of postmaster.length > 0 ? postmaster : living) sendSignal(pid, signal)
    await allEnded(dataFolder, patienceMs[signal])
  }
  const left = processesOn(dataFolder)
  if (left.length > 0) {
    throw new StartupError(
      `a PostgreSQL (pid ${left.join(', ')}) still works on ${dataFolder} and does not end`,
      `end it with kill -9 ${left.join(' ')} and start again`,
    )
  }
  if (isStale(dataFolder)) rmSync(pidFile(dataFolder), { force: true })
}

// PostgreSQL refuses to start while the pid in this file exists, whoever has it by now, a zombie that nobody has reaped
// too. With nobody on the data directory the file says nothing; where that cannot be seen in full, PostgreSQL's own
// look at orphaned backends is kept unless a stranger has the pid.
function isStale(dataFolder: string): boolean {
  if (process.platform === 'linux') return true
  const pid = pidInFile(dataFolder)
  return pid !== undefined && startOf(pid) !== undefined
}

/** The pids of PostgreSQL on this data directory, its postmaster and backends. */
export function processesOn(dataFolder: string): number[] {
  if (process.platform !== 'linux') {
    // Without /proc only the postmaster can be told, by its command line; its backends end by themselves without it.
    const pid = pidInFile(dataFolder)
    const command = pid === undefined ? undefined : commandOf(pid)
    return pid !== undefined && command?.includes('postgres') && command.includes(dataFolder) ? [pid] : []
  }
  // All of them have the data directory as their working directory, and nobody else is there by chance: it is 0700.
  const folder = realpathSync(dataFolder)
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => workingFolderOf(pid) === folder && startOf(pid) !== undefined)
    .filter((pid) => commandOf(pid)?.includes('postgres'))
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function allEnded(dataFolder: string, withinMs: number): Promise<void> {
  const until = Date.now() + withinMs
  while (Date.now() < until && processesOn(dataFolder).length > 0) await pause(20)
}

function pidFile(dataFolder: string): string {
  return path.join(dataFolder, 'postmaster.pid')
}

function pidInFile(dataFolder: string): number | undefined {
  return readPostmasterFile(dataFolder)?.pid
}

/** What a postmaster says of itself in postmaster.pid: its pid on line 1, `ready` on line 8 once it takes connections. */
export function readPostmasterFile(dataFolder: string): { pid: number; ready: boolean } | undefined {
  try {
    const lines = readFileSync(pidFile(dataFolder), 'utf8').split('\n')
    const pid = Number(lines[0])
    // Read while it is being written.
    if (!Number.isInteger(pid) || pid <= 0) return undefined
    return { pid, ready: lines[7]?.trim() === 'ready' }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
