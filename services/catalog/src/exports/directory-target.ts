import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, opendir, rename, rm, statfs } from 'node:fs/promises'
import path from 'node:path'
import { Problem } from '@berth/service'
import { folderBelow, transferRoot, unlessMissing } from '../transfers/transfer-path.ts'
import { exportFault } from './fault.ts'
import { formOf, type Target } from './target.ts'

// Small ones have room for their headers, and for the folders they lie in.
const spareBytes = 16 << 20

/** `fence`: of the attempt at its task. What an attempt writes that was replaced is never taken for what the next one does. */
type Wanted = { id: string; path: string; chunkBytes: number | null; fence: number }

/** Refuses what is there already, before anything is done. */
export async function requireFree(directory: string | undefined, inside: string): Promise<void> {
  const root = await transferRoot(directory)
  const folder = await folderBelow(root, inside, { make: false })
  if (folder && (await lstat(path.join(folder, path.basename(inside))).catch(unlessMissing))) throw taken(inside)
}

/** An export below the directory for transfers: written beside its place under a hidden name, and moved there when it is complete. */
export function directoryTarget(directory: string | undefined, wanted: Wanted): Target {
  const base = path.basename(wanted.path)
  const form = formOf(wanted)
  const partials = `.${base}.${wanted.id}.`
  const partial = `${partials}${wanted.fence}.partial`
  const find = async (make: boolean) => folderBelow(await transferRoot(directory), wanted.path, { make })
  const needed = async () => {
    const folder = await find(true)
    if (!folder) throw new Error(`the folder of "${wanted.path}" was made, and is not there`)
    return folder
  }
  let made = new Set<string>()
  let staged = ''
  const fileOf = async (name: string) => {
    if (form === 'archive') return staged
    const file = path.join(staged, name)
    const parent = path.dirname(file)
    if (!made.has(parent)) await mkdir(parent, { recursive: true, mode: 0o700 })
    made.add(parent)
    return file
  }
  const discard = async () => {
    const folder = await find(false)
    for (const name of folder ? await partialsIn(folder, partials) : [])
      await rm(path.join(folder ?? '', name), { recursive: true, force: true })
    made = new Set()
  }
  return {
    requireFree: () => told(wanted.path, () => requireFree(directory, wanted.path)),
    begin: (bytes) =>
      told(wanted.path, async () => {
        await discard()
        const folder = await needed()
        staged = path.join(folder, partial)
        const { bavail, bsize } = await statfs(folder)
        const free = bavail * bsize
        if (free < bytes + spareBytes)
          throw exportFault(
            'no_space',
            `"${wanted.path}" takes ${bytes} bytes, and ${free} are free where it is to lie.`,
            'Free space there, or export less: a delta, or fewer repositories.',
          )
      }),
    write: (name, source) => told(wanted.path, async () => writeFile(await fileOf(name), source)),
    finish: () =>
      told(wanted.path, async () => {
        const folder = await needed()
        if (form !== 'archive') await syncFolders(staged)
        // Nobody else writes below: what came there since the export began was looked for a moment ago.
        if (await lstat(path.join(folder, base)).catch(unlessMissing)) throw taken(wanted.path)
        await rename(staged, path.join(folder, base))
        await syncFolder(folder)
      }),
    isFinished: () =>
      told(wanted.path, async () => {
        const folder = await find(false)
        if (!folder) return false
        const found = await lstat(path.join(folder, base)).catch(unlessMissing)
        return found !== undefined && (await partialsIn(folder, partials)).length === 0
      }),
    discard: () => told(wanted.path, discard),
  }
}

/** What attempts at an export have left in a folder. */
async function partialsIn(folder: string, prefix: string): Promise<string[]> {
  const found: string[] = []
  for await (const { name } of await opendir(folder)) if (name.startsWith(prefix)) found.push(name)
  return found
}

const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

async function writeFile(file: string, source: AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(file, flags, 0o600)
  try {
    for await (const chunk of source) await writeAll(handle, chunk)
    await handle.datasync()
  } finally {
    await handle.close()
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, at, chunk.length - at)
    at += bytesWritten
  }
}

async function syncFolders(folder: string): Promise<void> {
  for await (const entry of await opendir(folder))
    if (entry.isDirectory()) await syncFolders(path.join(folder, entry.name))
  await syncFolder(folder)
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function taken(inside: string): Problem {
  return new Problem(409, 'target_exists', `There is a "${inside}" already.`, {
    field: 'to.path',
    hint: 'Choose another path, or move away what is there.',
  })
}

const remedies: Record<string, [code: string, what: string, remedy: string]> = {
  ENOSPC: ['no_space', 'there is no room left', 'Free space there, or export less.'],
  EDQUOT: ['no_space', 'the quota of its disk is used up', 'Free space there, or raise it.'],
  EACCES: ['not_writable', 'Berth may not write there', 'Let the user that Berth runs as write there.'],
  EPERM: ['not_writable', 'Berth may not write there', 'Let the user that Berth runs as write there.'],
  EROFS: ['not_writable', 'it is mounted read-only', 'Mount it writable.'],
}

/** Turns failures of the file system that a person can help into faults that say how. */
async function told<T>(inside: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const [code, what, remedy] = remedies[(error as NodeJS.ErrnoException).code ?? ''] ?? []
    if (code === undefined || what === undefined || remedy === undefined) throw error
    throw exportFault(code, `"${inside}" cannot be written: ${what}.`, remedy)
  }
}
