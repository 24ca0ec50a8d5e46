import { accessSync, constants } from 'node:fs'
import path from 'node:path'

/** Where a program lies on PATH or in Debian's places for servers; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return folders
    .filter(Boolean)
    .map((folder) => path.join(folder, name))
    .find(isExecutable)
}

/** The names of those that are not installed, for a test to say why it is skipped. */
export function missingPrograms(...names: string[]): string[] {
  return names.filter((name) => !findProgram(name))
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    // Absent or not for us: either way it cannot be run.
    return false
  }
}
