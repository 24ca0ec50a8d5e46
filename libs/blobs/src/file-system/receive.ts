import { hash } from 'node:crypto'
import type { HashThreads } from '../hashing/hash-threads.ts'
import { uploadSlabs } from '../hashing/slabs.ts'
import { readHead, type SourceHead, type SourceReader } from '../store/source-reader.ts'
import type { Received } from '../store/verify.ts'
import { ComparedFile } from './compared-file.ts'
import { writeSmallFile } from './descriptors.ts'
import { NewFile, type Pieces } from './new-file.ts'
import { SlabWriter } from './slab-writer.ts'

/** Up to here a source is hashed where it is: a trip to another thread costs more than the hash. The journal takes no more either. */
export const inlineBytes = 128 << 10

type Receiving = {
  algorithm: string
  threads: HashThreads
  check: (received: Received) => void
  there?: (() => Promise<string | undefined>) | undefined
}

/** The file of a source of up to `inlineBytes`: a durable one, or none yet. */
type Small = 'flushed' | 'none'

/**
 * Writes what a source gives, to its end or break, into a new file at `path`; it is durable when this resolves, but for a `small`
 * one where that says otherwise. Of a small one the bytes are answered too. `check` sees size and hash before a small file is even
 * made, and when all of a large one has come. The caller removes the file when this throws.
 *
 * A large source is compared with the file that `there` names, if it names one: with the same bytes (`isSame`) no new one is made.
 */
export async function receiveFile(
  path: string,
  reader: SourceReader,
  how: Receiving & { small: Small },
): Promise<Received & { bytes?: Uint8Array; isSame?: boolean }> {
  const head = await readHead(reader, inlineBytes)
  if (!head.ended)
    return how.there
      ? receiveKnown(path, head, reader, { ...how, there: how.there })
      : receiveNew(path, head, reader, how)
  const bytes = head.chunks.length === 1 && head.chunks[0] ? head.chunks[0] : Buffer.concat(head.chunks)
  const received = { sizeBytes: bytes.length, hex: hash(how.algorithm, bytes, 'hex') }
  how.check(received)
  if (how.small === 'flushed') await writeSmallFile(path, bytes)
  return { ...received, bytes }
}

async function receiveNew(path: string, head: SourceHead, reader: SourceReader, how: Receiving): Promise<Received> {
  const file = await NewFile.make(path)
  try {
    return await receiveInto(file, head, reader, how)
  } finally {
    await file.close()
  }
}

async function receiveKnown(
  path: string,
  head: SourceHead,
  reader: SourceReader,
  how: Receiving & { there: () => Promise<string | undefined> },
): Promise<Received & { isSame: boolean }> {
  const file = new ComparedFile(path, how.algorithm, how.there())
  try {
    return { ...(await receiveInto(file, head, reader, how)), isSame: file.isSame }
  } finally {
    await file.close()
  }
}

async function receiveInto(
  pieces: Pieces,
  head: SourceHead,
  reader: SourceReader,
  { threads, algorithm, check }: Receiving,
): Promise<Received> {
  const writer = new SlabWriter(pieces, threads.start(algorithm), uploadSlabs)
  try {
    for (const chunk of head.chunks) await put(chunk, reader, writer)
    await pump(reader, writer)
    return await writer.finish(check)
  } catch (error) {
    // Nothing may be under way when the file is closed.
    await writer.abandon()
    throw error
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
