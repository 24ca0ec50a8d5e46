import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs'
import path from 'node:path'

/**
 * Writes a file that only this user may read, and that is there after a power cut once this returns: what is sealed or locked
 * with a key must never be on the disk before the key is. Killed in between, it leaves either no file or a whole one.
 */
export function writeDurably(file: string, text: string): void {
  const made = `${file}.new`
  const descriptor = openSync(made, 'w', 0o600)
  try {
    writeSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(made, file)
  syncFolder(path.dirname(file))
}

/** Makes the names in a folder durable. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
