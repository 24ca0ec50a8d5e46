import { hash } from 'node:crypto'
import type { HashThreads } from '../hashing/hash-threads.ts'
import { uploadSlabs } from '../hashing/slabs.ts'
import { readHead, type SourceHead, type SourceReader } from '../store/source-reader.ts'
import type { Received } from '../store/verify.ts'
import { closeFile, openNew, writeSmallFile, writeUnflushed } from './descriptors.ts'
import { SlabWriter } from './slab-writer.ts'

/** Up to here a source is hashed where it is: a trip to another thread costs more than the hash. The journal takes no more either. */
export const inlineBytes = 128 << 10

/** The file of a source of up to `inlineBytes`: durable, one that a power cut may take away, or none yet. */
type Small = 'flushed' | 'unflushed' | 'none'

/**
 * Writes what a source gives, to its end or break, into a new file at `path`; it is durable when this resolves, but for a `small`
 * one where that says otherwise. Of a small one the bytes are answered too. `check` sees size and hash before a small file is even
 * made, and after a large one is complete. The caller removes the file when this throws.
 */
export async function receiveFile(
  path: string,
  reader: SourceReader,
  how: { algorithm: string; threads: HashThreads; check: (received: Received) => void; small: Small },
): Promise<Received & { bytes?: Uint8Array }> {
  const head = await readHead(reader, inlineBytes)
  if (!head.ended) {
    const received = await receiveLong(path, head, reader, how.threads, how.algorithm)
    how.check(received)
    return received
  }
  const bytes = head.chunks.length === 1 && head.chunks[0] ? head.chunks[0] : Buffer.concat(head.chunks)
  const received = { sizeBytes: bytes.length, hex: hash(how.algorithm, bytes, 'hex') }
  how.check(received)
  if (how.small === 'flushed') await writeSmallFile(path, bytes)
  if (how.small === 'unflushed') await writeUnflushed(path, bytes)
  return { ...received, bytes }
}

async function receiveLong(
  path: string,
  head: SourceHead,
  reader: SourceReader,
  threads: HashThreads,
  algorithm: string,
): Promise<Received> {
  const fd = await openNew(path)
  try {
    const writer = new SlabWriter(fd, threads.start(algorithm), uploadSlabs)
    try {
      for (const chunk of head.chunks) await put(chunk, reader, writer)
      await pump(reader, writer)
      return await writer.finish()
    } catch (error) {
      // The file must stay open until nothing writes to it: its descriptor number may be given to another file at once.
      await writer.abandon()
      throw error
    }
  } finally {
    await closeFile(fd)
  }
}

async function pump(reader: SourceReader, writer: SlabWriter): Promise<void> {
  for (;;) {
    writer.idle()
    const chunk = await reader.next()
    writer.busy()
    if (!chunk) return
    await put(chunk, reader, writer)
  }
}

async function put(chunk: Uint8Array, reader: SourceReader, writer: SlabWriter): Promise<void> {
  await writer.push(chunk)
  reader.done(chunk)
}
