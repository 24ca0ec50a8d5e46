import { createHash } from 'node:crypto'
import { createSlabPool, slabBytes } from '../hashing/slabs.ts'
import { BlobStoreError } from '../store/errors.ts'
import type { Received } from '../store/verify.ts'
import { closeFile, openFile, statFile } from './descriptors.ts'
import { NewFile, type Pieces } from './new-file.ts'
import { readSome } from './send-file.ts'

/** What is read to compare with, for all uploads of this process: each holds one for a moment, and never two. */
const compareBuffers = createSlabPool({ limit: 4, kept: 2, bytes: slabBytes })

type Stored = { fd: number; sizeBytes: number }
type Range = { position: number; lengthBytes: number }

/**
 * Compares the pieces of a source with a file that should have the same bytes. Nothing is written while they agree; what does not,
 * as when the file is damaged, gets a file of its own, into which that which agreed is copied.
 */
export class ComparedFile implements Pieces {
  readonly #path: string
  readonly #algorithm: string
  readonly #stored: Promise<Stored | undefined>
  /** What agreed, and is in no new file. */
  readonly #same: Range[] = []
  #own: Promise<NewFile> | undefined

  /** `path`: of the new file, if there has to be one. `stored`: the file to compare with, once that is known. */
  constructor(path: string, algorithm: string, stored: Promise<string | undefined>) {
    this.#path = path
    this.#algorithm = algorithm
    this.#stored = stored.then((at) => (at === undefined ? undefined : openStored(at)))
    this.#stored.catch(() => 'told to who puts')
  }

  /** Whether the file has all the bytes, so that no new one was made. */
  get isSame(): boolean {
    return this.#own === undefined
  }

  async put(buffer: Buffer, lengthBytes: number, position: number): Promise<void> {
    const stored = await this.#stored
    if (stored && !this.#own && (await agrees(stored, buffer, { position, lengthBytes }))) {
      this.#same.push({ position, lengthBytes })
      return
    }
    await (await this.#makeOwn()).put(buffer, lengthBytes, position)
  }

  /**
   * Also throws a `BlobStoreError` (`damaged`) when what was copied has changed since it agreed: a file whose other bytes are wrong is not to
   * be trusted.
   */
  async settle(proven: Promise<Received>): Promise<void> {
    // Of what breaks off, or is wrong at its end, nothing is copied.
    const { sizeBytes, hex } = await proven
    const stored = await this.#stored
    if (!this.#own && stored?.sizeBytes === sizeBytes) return
    const own = await this.#makeOwn()
    if (stored) for (const range of this.#same) await copy(stored, own, range)
    await own.settle()
    if (this.#same.length > 0) await checkHash(this.#path, this.#algorithm, hex)
  }

  async close(): Promise<void> {
    const [stored, own] = await Promise.allSettled([this.#stored, this.#own])
    const closing: Promise<void>[] = []
    if (own.status === 'fulfilled' && own.value) closing.push(own.value.close())
    if (stored.status === 'fulfilled' && stored.value) closing.push(closeFile(stored.value.fd))
    const failed = (await Promise.allSettled(closing)).find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  }

  #makeOwn(): Promise<NewFile> {
    this.#own ??= NewFile.make(this.#path)
    return this.#own
  }
}

/** A file that cannot be opened is compared with as one that is not there: what comes takes its place. */
async function openStored(path: string): Promise<Stored | undefined> {
  const fd = await openFile(path).catch(() => undefined)
  if (fd === undefined) return undefined
  try {
    return { fd, sizeBytes: (await statFile(fd)).size }
  } catch (error) {
    await closeFile(fd)
    throw error
  }
}

async function agrees(stored: Stored, bytes: Buffer, range: Range): Promise<boolean> {
  if (range.position + range.lengthBytes > stored.sizeBytes) return false
  let isSame = true
  try {
    await eachPiece(stored, range, (piece, at) => {
      isSame &&= piece.equals(bytes.subarray(at, at + piece.length))
    })
    return isSame
  } catch {
    // What a disk does not give is no better than what is wrong.
    return false
  }
}

async function copy(stored: Stored, own: NewFile, range: Range): Promise<void> {
  await eachPiece(stored, range, (piece, at) => own.put(piece, piece.length, range.position + at))
}

async function checkHash(path: string, algorithm: string, hex: string): Promise<void> {
  const fd = await openFile(path)
  try {
    const { size } = await statFile(fd)
    const hash = createHash(algorithm)
    await eachPiece({ fd, sizeBytes: size }, { position: 0, lengthBytes: size }, (bytes) => void hash.update(bytes))
    if (hash.digest('hex') !== hex) throw new BlobStoreError('damaged', 'the disk gives other bytes than a moment ago')
  } finally {
    await closeFile(fd)
  }
}

/** Reads a range piece by piece, each lent with its place in the range. */
async function eachPiece(
  { fd, sizeBytes }: Stored,
  { position, lengthBytes }: Range,
  take: (piece: Buffer, at: number) => Promise<void> | void,
): Promise<void> {
  const span = { fd, name: 'stored bytes', start: position, sizeBytes: Math.min(lengthBytes, sizeBytes - position) }
  const slab = await compareBuffers.take()
  try {
    for (let at = 0; at < span.sizeBytes; ) {
      const count = await readSome(span, slab.view, at)
      await take(slab.view.subarray(0, count), at)
      at += count
    }
  } finally {
    compareBuffers.give(slab)
  }
}
