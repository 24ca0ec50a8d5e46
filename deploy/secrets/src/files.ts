import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { StartupError } from '@berth/service'

const ownerOnly = 0o600

/** Makes a folder unless it is there. Throws `StartupError`. */
export function makeFolder(folder: string, mode = 0o700): void {
  told(folder, () => mkdirSync(folder, { recursive: true, mode }))
}

/** The text of a file without the end of its last line; `undefined` when there is none. Throws `StartupError`. */
export function readText(folder: string, name: string): string | undefined {
  const text = told(folder, () => {
    try {
      return readFileSync(path.join(folder, name), 'utf8').trim()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  })
  if (text !== '') return text
  throw new StartupError(`${folder}/${name} is empty`, 'restore it from a backup, or remove it: another one is made')
}

/** Writes a file that only its owner may read, unless there is one; answers whether it did. Nobody ever sees half of one. */
export function writeNew(folder: string, name: string, text: string): boolean {
  return placed(folder, text, ownerOnly, (made) => {
    try {
      linkSync(made, path.join(folder, name))
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    }
  })
}

/** Writes a file in place of what is there. */
export function replaceFile(folder: string, name: string, text: string, mode = ownerOnly): void {
  placed(folder, text, mode, (made) => renameSync(made, path.join(folder, name)))
}

function placed<T>(folder: string, text: string, mode: number, place: (made: string) => T): T {
  return told(folder, () => {
    const made = path.join(folder, `.${randomUUID()}.new`)
    try {
      const descriptor = openSync(made, 'wx', ownerOnly)
      try {
        writeFileSync(descriptor, text)
        // Whatever the umask is.
        fchmodSync(descriptor, mode)
        fsyncSync(descriptor)
      } finally {
        closeSync(descriptor)
      }
      const answer = place(made)
      sync(folder)
      return answer
    } finally {
      rmSync(made, { force: true })
    }
  })
}

// A key must not be used before its name is on the disk.
function sync(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function told<T>(folder: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (cause instanceof StartupError) throw cause
    throw new StartupError(
      `secrets cannot be kept in ${folder} (${(cause as NodeJS.ErrnoException).code})`,
      'name a folder that this user may write to',
      { cause },
    )
  }
}
