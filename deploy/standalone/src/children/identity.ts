import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'

const linux = process.platform === 'linux'

/**
 * A text that tells this process from every other that has or had its pid: its start time, with the boot it counts from.
 * undefined when no such process lives; a zombie does not live.
 */
export function startOf(pid: number): string | undefined {
  if (!linux) return psField(pid, 'lstart')
  const stat = readProc(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // The program's name is in parentheses and may hold spaces and parentheses itself, so the fields count from the last
  // one: proc_pid_stat(5), state is field 3 and starttime field 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  return `${bootId()}:${fields[19]}`
}

/** The command line of a process, or undefined when it does not live or does not tell. */
export function commandOf(pid: number): string | undefined {
  if (!linux) return psField(pid, 'command')
  return readProc(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim() || undefined
}

/** The working directory of a process; undefined when it does not live, is not ours to see, or on macOS. */
export function workingFolderOf(pid: number): string | undefined {
  if (!linux) return undefined
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch (error) {
    if (isGoneOrHidden(error)) return undefined
    throw error
  }
}

function readProc(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (isGoneOrHidden(error)) return undefined
    throw error
  }
}

// ESRCH: the process ended between open and read.
function isGoneOrHidden(error: unknown): boolean {
  return ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')
}

let boot: string | undefined
function bootId(): string {
  boot ??= readProc('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown'
  return boot
}

function psField(pid: number, field: string): string | undefined {
  try {
    const line = execFileSync('ps', ['-o', `${field}=`, '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return line.trim() || undefined
  } catch (error) {
    // ps exits 1 when there is no such process; anything else is a broken ps.
    if ((error as { status?: number }).status === 1) return undefined
    throw error
  }
}
