import { readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { commandOf, startOf, workingFolderOf } from '@berth/standalone/children'

const shortestPollMs = 25
const longestPollMs = 150

export type Living = { pid: number; command: string }

/** The processes that work on a folder: named in their command line, or in or below it. Linux only. */
export function processesOn(folder: string): Living[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid)
    .flatMap((pid) => {
      const command = commandOf(pid) ?? ''
      const here = workingFolderOf(pid) ?? ''
      const isOn = command.includes(folder) || here === folder || here.startsWith(`${folder}/`)
      return isOn && startOf(pid) !== undefined ? [{ pid, command }] : []
    })
}

/** Whether a process is still there; one that has ended and waits for its parent to notice is not. Linux only. */
export function isAlive(pid: number): boolean {
  return startOf(pid) !== undefined
}

/** Waits until a claim holds; throws with what was waited for after `withinMs`. For what is not announced. */
export async function until<T>(
  what: string,
  claim: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs = 20_000,
): Promise<T> {
  const startedAt = Date.now()
  for (;;) {
    const value = await claim()
    if (value !== undefined && value !== false) return value
    const waitedMs = Date.now() - startedAt
    if (waitedMs > withinMs) throw new Error(`${what}: not within ${withinMs / 1000} s`)
    // What takes long is asked for less often: each question costs the services that answer it.
    await pause(Math.min(Math.max(shortestPollMs, waitedMs / 10), longestPollMs))
  }
}
