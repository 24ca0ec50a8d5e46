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

/** Writes the first bytes of a buffer, however many writes that takes. */
export async function writeAll(fd: number, buffer: Uint8Array, lengthBytes: number, position: number): Promise<void> {
  for (let done = 0; done < lengthBytes; ) {
    const at = done
    done += await new Promise<number>((resolve, reject) =>
      fs.write(fd, buffer, at, lengthBytes - at, position + at, (error, count) =>
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
