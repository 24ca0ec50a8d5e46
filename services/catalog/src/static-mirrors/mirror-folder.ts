import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import {
  type FileHandle,
  link,
  mkdir,
  open,
  opendir,
  rename,
  rm,
  rmdir,
  stat,
  unlink,
  writeFile,
} from 'node:fs/promises'
import path from 'node:path'
import { Problem } from '@berth/service'

/** Marks a folder as a mirror that Berth writes, and so one from which it may remove files. */
const markName = '.berth-static-mirror'
export const partialFolder = '.berth-partial'

export type MirrorCounts = { written: number; writtenBytes: number; unchanged: number; removed: number }
type Pieces = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>

/** A folder that web servers read while it is written: each file is whole under its name, or is not there. */
export type MirrorFolder = {
  readonly counts: Readonly<MirrorCounts>
  /** Writes a file, unless it is there with the same bytes. */
  put(name: string, pieces: Pieces): Promise<void>
  /** Writes a file whose name says what is in it, unless one of this size is there. `read` may throw: then nothing is there. */
  putOnce(name: string, sizeBytes: number, read: () => Pieces): Promise<void>
  /** Gives a file that is there another name, unless it has that. */
  link(name: string, target: string): Promise<void>
  /** Whether a file is there with this size, and so stays as it is. */
  keeps(name: string, sizeBytes: number): Promise<boolean>
  /** What is in a folder of it, as it comes; nothing where there is no such folder. */
  list(folder: string): AsyncGenerator<{ name: string; isFolder: boolean }>
  remove(name: string): Promise<void>
  /** Removes a folder and what is in it. */
  removeFolder(folder: string): Promise<void>
  /** Removes a folder in which nothing is left. */
  removeEmpty(folder: string): Promise<void>
  /** Removes what is only there for the writing. */
  close(): Promise<void>
}

/**
 * Opens a folder as a mirror. One that has no mark is taken only when it is empty: what is not in the selection is removed, and must not
 * be somebody's. Throws 409 `not_a_mirror`. With `dryRun` nothing is made, written or removed, and all is counted.
 */
export async function openMirrorFolder(root: string, { dryRun }: { dryRun: boolean }): Promise<MirrorFolder> {
  const counts: MirrorCounts = { written: 0, writtenBytes: 0, unchanged: 0, removed: 0 }
  const at = (name: string) => path.join(root, name)
  const partials = at(partialFolder)
  await requireMirror(root)
  if (!dryRun) {
    await mkdir(root, { recursive: true })
    await writeFile(at(markName), 'Written by Berth, which removes from here what it did not write.\n')
    await rm(partials, { recursive: true, force: true })
    await mkdir(partials, { mode: 0o700 })
  }

  /** Writes pieces under a name of their own, and gives them the right one where `isWanted` says so of their hash. */
  const write = async (name: string, pieces: Pieces, isWanted: (hash: string) => Promise<boolean>) => {
    const partial = path.join(partials, randomUUID())
    const file = dryRun ? undefined : await open(partial, 'wx', 0o644)
    try {
      const { bytes, hash } = await copy(pieces, file)
      if (!(await isWanted(hash))) {
        counts.unchanged++
        return
      }
      counts.written++
      counts.writtenBytes += bytes
      if (file) {
        await mkdir(path.dirname(at(name)), { recursive: true })
        await rename(partial, at(name))
      }
    } finally {
      await file?.close()
      if (file) await rm(partial, { force: true })
    }
  }

  const folder: MirrorFolder = {
    counts,
    put: (name, pieces) => write(name, pieces, async (hash) => (await hashOf(at(name))) !== hash),
    async putOnce(name, sizeBytes, read) {
      if (await folder.keeps(name, sizeBytes)) return
      if (!dryRun) {
        await write(name, read(), async () => true)
        return
      }
      counts.written++
      counts.writtenBytes += sizeBytes
    },
    async link(name, target) {
      const [is, wanted] = await Promise.all([identityOf(at(name)), identityOf(at(target))])
      if (is !== undefined && is === wanted) return void counts.unchanged++
      if (dryRun) return void counts.written++
      const partial = path.join(partials, randomUUID())
      try {
        await link(at(target), partial)
      } catch (error) {
        // Not every file system has links, and none has any number of them for one file.
        if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
        return folder.put(name, createReadStream(at(target)))
      }
      await mkdir(path.dirname(at(name)), { recursive: true })
      await rename(partial, at(name))
      counts.written++
    },
    async keeps(name, sizeBytes) {
      const isThere = (await sizeOf(at(name))) === sizeBytes
      if (isThere) counts.unchanged++
      return isThere
    },
    list: (inside) => entriesOf(at(inside)),
    async remove(name) {
      if (!dryRun) await unlink(at(name))
      counts.removed++
    },
    async removeFolder(inside) {
      for await (const { name, isFolder } of entriesOf(at(inside)))
        await (isFolder ? folder.removeFolder(`${inside}/${name}`) : folder.remove(`${inside}/${name}`))
      await folder.removeEmpty(inside)
    },
    async removeEmpty(inside) {
      if (dryRun) return
      await rmdir(at(inside)).catch(unless('ENOTEMPTY', 'ENOENT'))
    },
    async close() {
      if (!dryRun) await rm(partials, { recursive: true, force: true })
    },
  }
  return folder
}

async function requireMirror(root: string): Promise<void> {
  if ((await sizeOf(path.join(root, markName))) !== undefined) return
  for await (const { name } of entriesOf(root))
    throw new Problem(
      409,
      'not_a_mirror',
      `directory: there is ${name.slice(0, 100)} in it, which Berth did not write.`,
      {
        field: 'directory',
        hint: 'Name a directory that is empty or does not exist; what is not in the selection is removed from a mirror.',
      },
    )
}

async function copy(pieces: Pieces, file: FileHandle | undefined): Promise<{ bytes: number; hash: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const piece of pieces) {
    const chunk = typeof piece === 'string' ? Buffer.from(piece) : piece
    bytes += chunk.byteLength
    hash.update(chunk)
    await file?.writeFile(chunk)
  }
  // Else a file could stand there with its size and without its bytes after a crash, and the next run would believe it.
  await file?.datasync()
  return { bytes, hash: hash.digest('hex') }
}

async function hashOf(file: string): Promise<string | undefined> {
  if ((await sizeOf(file)) === undefined) return undefined
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size
  } catch (error) {
    unless('ENOENT')(error as NodeJS.ErrnoException)
    return undefined
  }
}

/** What tells a file from all others of its file system; `undefined` where there is none. */
async function identityOf(file: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(file, { bigint: true })
    return `${dev} ${ino}`
  } catch (error) {
    unless('ENOENT')(error as NodeJS.ErrnoException)
    return undefined
  }
}

async function* entriesOf(folder: string): AsyncGenerator<{ name: string; isFolder: boolean }> {
  try {
    for await (const entry of await opendir(folder)) yield { name: entry.name, isFolder: entry.isDirectory() }
  } catch (error) {
    unless('ENOENT')(error as NodeJS.ErrnoException)
  }
}

function unless(...codes: string[]): (error: NodeJS.ErrnoException) => void {
  return (error) => {
    if (!codes.includes(error.code ?? '')) throw error
  }
}
