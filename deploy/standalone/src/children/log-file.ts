import { closeSync, openSync, readFileSync, statSync } from 'node:fs'

const largestBytes = 8 * 1024 * 1024

/**
 * Gives `use` a descriptor that appends to a server's log file, and closes it. The servers write to files, not to pipes
 * of ours, so that they never wait for us and can still say why they end when we are gone. A log grown past 8 MiB is
 * begun anew.
 */
export function withLogFile<T>(file: string, use: (descriptor: number) => T): T {
  const full = (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > largestBytes
  const descriptor = openSync(file, full ? 'w' : 'a', 0o600)
  try {
    return use(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** The last lines of a log file, to be quoted in an error. */
export function lastLines(file: string, count = 5): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n')
}
