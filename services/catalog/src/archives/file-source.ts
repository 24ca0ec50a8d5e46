import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { BadArchive } from './bad-archive.ts'
import { type ByteSource, inPieces } from './byte-source.ts'

/** Opens a file in place, read-only and never through a link. `name` is how it is called to people. */
export async function openFile(path: string, name: string): Promise<ByteSource> {
  const file = await openPlain(path, name)
  const { size: sizeBytes } = await file.stat()
  const read = async (offset: number, length: number) => readExactly(file, { name, offset, length })
  return {
    sizeBytes,
    read,
    stream: (offset, length, signal) => inPieces({ read }, offset, length, signal),
    placeOf: (offset) => `${name} at ${offset}`,
    close: () => file.close(),
  }
}

/** Opens what is a file and nothing else. */
async function openPlain(path: string, name: string): Promise<FileHandle> {
  let file: FileHandle
  try {
    // A pipe would keep the open waiting for somebody who writes.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ELOOP') throw new BadArchive(name, 'is a link')
    if (code === 'ENOENT') throw new BadArchive(name, 'is missing')
    throw cause
  }
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new BadArchive(name, 'is no file')
}

async function readExactly(
  file: FileHandle,
  { name, offset, length }: { name: string; offset: number; length: number },
): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(bytes, at, length - at, offset + at)
    if (bytesRead === 0) throw new BadArchive(`${name} at ${offset + at}`, 'breaks off')
    at += bytesRead
  }
  return bytes
}
