import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errnoOf } from './failure.ts'
import { createOpenFolders } from './open-folders.ts'

/** The folders under a root: they are made when needed, and their names made durable. */
export type Folders = {
  /** Sees that a folder exists and will after a power cut; costs something only the first time. */
  ensure(folder: string): Promise<void>
  /** Resolves after an fsync that began after the call; calls that wait share one. */
  sync(folder: string): Promise<void>
  /** Lets go of all that is kept open. */
  close(): Promise<void>
}

type Gate = { running: Promise<void>; next: Promise<void> | undefined }

export function createFolders(root: string): Folders {
  const sure = new Map<string, Promise<void>>()
  const gates = new Map<string, Gate>()
  const open = createOpenFolders()

  const begin = (folder: string, gate: Gate) => {
    gate.next = undefined
    gate.running = open.sync(join(root, folder)).finally(() => {
      if (!gate.next) gates.delete(folder)
    })
    return gate.running
  }

  const sync = (folder: string): Promise<void> => {
    const gate = gates.get(folder)
    if (!gate) {
      const first: Gate = { running: Promise.resolve(), next: undefined }
      gates.set(folder, first)
      return begin(folder, first)
    }
    // The fsync under way may have begun before the caller's rename, so the caller needs the one after it.
    const start = () => begin(folder, gate)
    gate.next ??= gate.running.then(start, start)
    return gate.next
  }

  const make = async (folder: string): Promise<void> => {
    const parent = dirname(folder)
    if (parent !== '.') await ensure(parent)
    // One by one: where the root is away, with its mount or its disk, it is not made anew in its place.
    await mkdir(join(root, folder), { mode: 0o750 }).catch((error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error
    })
    // A folder that is there may have been made by a process that died before this fsync, so it is done regardless.
    await sync(parent)
  }

  const ensure = (folder: string): Promise<void> => {
    const known = sure.get(folder)
    if (known) return known
    const making = make(folder).catch((error: unknown) => {
      sure.delete(folder)
      throw error
    })
    sure.set(folder, making)
    return making
  }

  return { ensure, sync, close: () => open.close() }
}
