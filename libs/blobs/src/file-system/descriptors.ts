import fs from 'node:fs'

/*
 * System calls on bare descriptors. They cost a third of what `FileHandle` costs, which shows where a small blob is
 * written in five of them.
 */
const newFile = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL
// With O_DSYNC the one write of a small file is its fdatasync too. Elsewhere than Linux the flag promises less.
const newSyncedFile = process.platform === 'linux' ? newFile | fs.constants.O_DSYNC : newFile

type Done = (error: NodeJS.ErrnoException | null) => void

const call = (start: (done: Done) => void) =>
  new Promise<void>((resolve, reject) => start((error) => (error ? reject(error) : resolve())))

export const openFile = (path: string, flags: string | number = 'r') =>
  new Promise<number>((resolve, reject) =>
    fs.open(path, flags, 0o640, (error, fd) => (error ? reject(error) : resolve(fd))),
  )

/** Makes a file that must not exist yet. */
export const openNew = (path: string) => openFile(path, newFile)
export const closeFile = (fd: number) => call((done) => fs.close(fd, done))
export const syncData = (fd: number) => call((done) => fs.fdatasync(fd, done))
export const moveFile = (from: string, to: string) => call((done) => fs.rename(from, to, done))

export const readInto = (fd: number, buffer: Uint8Array, lengthBytes: number, position: number) =>
  new Promise<number>((resolve, reject) =>
    fs.read(fd, buffer, 0, lengthBytes, position, (error, count) => (error ? reject(error) : resolve(count))),
  )

export const statFile = (fd: number) =>
  new Promise<fs.Stats>((resolve, reject) => fs.fstat(fd, (error, stats) => (error ? reject(error) : resolve(stats))))

/** The stats of a path, `undefined` when nothing is there. */
export const statPath = (path: string) =>
  new Promise<fs.Stats | undefined>((resolve, reject) =>
    fs.lstat(path, (error, stats) => {
      if (error) return error.code === 'ENOENT' ? resolve(undefined) : reject(error)
      resolve(stats)
    }),
  )

/** `false` when nothing was there. */
export const removeFile = (path: string) =>
  new Promise<boolean>((resolve, reject) =>
    fs.unlink(path, (error) => {
      if (error) return error.code === 'ENOENT' ? resolve(false) : reject(error)
      resolve(true)
    }),
  )

/**
 * A page cache with large folios (ext4 since Linux 6.16) takes a block of memory as large as the write. Large free blocks of a virtual
 * machine are mostly memory that its host has taken back, and finds again page by page: 256 MiB in writes of 1 MiB took 0.82 s, in
 * writes of this size 0.43 s. On memory that is there all sizes take the same.
 */
const writeBytes = 128 << 10

/** Writes the first bytes of a buffer, however many writes that takes. */
export async function writeAll(fd: number, buffer: Uint8Array, lengthBytes: number, position: number): Promise<void> {
  for (let done = 0; done < lengthBytes; ) {
    const at = done
    done += await new Promise<number>((resolve, reject) =>
      fs.write(fd, buffer, at, Math.min(lengthBytes - at, writeBytes), position + at, (error, count) =>
        error ? reject(error) : resolve(count),
      ),
    )
  }
}

/** Makes a new file with these bytes; they are durable when it resolves. */
export async function writeSmallFile(path: string, bytes: Uint8Array): Promise<void> {
  const fd = await openFile(path, newSyncedFile)
  try {
    await writeAll(fd, bytes, bytes.length, 0)
    // Zero bytes are no write, so O_DSYNC has nothing to act on.
    if (newSyncedFile === newFile || bytes.length === 0) await syncData(fd)
  } finally {
    await closeFile(fd)
  }
}

/** Makes a new file with these bytes, which a power cut may take away. */
export async function writeUnflushed(path: string, bytes: Uint8Array): Promise<void> {
  const fd = await openNew(path)
  try {
    await writeAll(fd, bytes, bytes.length, 0)
  } finally {
    await closeFile(fd)
  }
}

/*
 * The same without a trip to another thread, which costs more than such a call where the disk does not have to be asked. While
 * one of them waits nothing else goes on in this process, so they come right behind an append of the journal alone
 * (docs/decisions/0053).
 */
export const writeFileNow = (path: string, bytes: Uint8Array) =>
  fs.writeFileSync(path, bytes, { flag: 'wx', mode: 0o640 })
export const statPathNow = (path: string) => fs.lstatSync(path, { throwIfNoEntry: false })
export const moveFileNow = (from: string, to: string) => fs.renameSync(from, to)

/** Makes a file for `writeFlushed`. */
export const openLog = (path: string) => openFile(path, newSyncedFile)

/** Writes all of the buffers at an offset; they are durable when it resolves. Answers how many bytes that are. */
export async function writeFlushed(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
  const sizeBytes = buffers.reduce((sum, { length }) => sum + length, 0)
  const written = await new Promise<number>((resolve, reject) =>
    fs.writev(fd, buffers, position, (error, count) => (error ? reject(error) : resolve(count))),
  )
  // A disk that gets full takes a part of it, and the rest then says so.
  if (written < sizeBytes) await writeAll(fd, Buffer.concat(buffers), sizeBytes, position)
  if (newSyncedFile === newFile) await syncData(fd)
  return sizeBytes
}

export const cutFile = (fd: number, lengthBytes: number) => call((done) => fs.ftruncate(fd, lengthBytes, done))

/** Makes the bytes of a file durable; `false` when nothing is there. */
export async function syncFile(path: string): Promise<boolean> {
  let fd: number
  try {
    fd = await openFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  try {
    await syncData(fd)
  } finally {
    await closeFile(fd)
  }
  return true
}

/** Makes the names in an open folder durable. */
export const syncNames = (fd: number) => call((done) => fs.fsync(fd, done))

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const fd = await openFile(path)
  try {
    await syncNames(fd)
  } finally {
    await closeFile(fd)
  }
}
