import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { Writable } from 'node:stream'
import { asDigest, type DigestAlgorithm } from '@berth/oci'
import type { BlobKey, BlobStore } from '../store/store.ts'

/** What a driver gives to the contract. */
export type Subject = {
  store: BlobStore
  /** Stores that cannot work, by what is wrong with them: none may pass that off as absence. */
  broken: Record<string, BlobStore>
  /** Puts other bytes into the place of a blob, as a failing disk does. */
  damage: (key: BlobKey, bytes: Uint8Array) => Promise<void>
  close(): Promise<void>
}

export const MiB = 1 << 20

let lastGeneration = 0

/** Bytes nobody else has, and their key; its generation is new too, as nobody has the empty blob alone. */
export function freshBlob(sizeBytes: number, algorithm: DigestAlgorithm = 'sha256'): { bytes: Buffer; key: BlobKey } {
  const bytes = randomBytes(sizeBytes)
  lastGeneration += 1
  return { bytes, key: keyOf(bytes, algorithm, lastGeneration) }
}

function keyOf(bytes: Uint8Array, algorithm: DigestAlgorithm, generation: number): BlobKey {
  return { digest: asDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`), generation }
}

export const hexOfBytes = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
export const freshId = () => randomUUID()

/** Bytes in chunks of the size a socket gives. */
export async function* chunksOf(bytes: Uint8Array, chunkBytes = 64 << 10): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
}

/** A source that gives these bytes and then fails. */
export async function* breakingAfter(bytes: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield* chunksOf(bytes)
  throw error
}

/** A source that gives these bytes, tells, and then gives nothing more and does not end either. */
export async function* hangingAfter(bytes: Uint8Array, onTaken: () => void): AsyncGenerator<Uint8Array> {
  yield* chunksOf(bytes)
  onTaken()
  await new Promise<void>(() => {
    // never
  })
}

export async function readAll(store: BlobStore, key: BlobKey, range?: { start: number; end: number }): Promise<Buffer> {
  const blob = await store.open(key)
  if (!blob) throw new Error(`${key.digest} is absent`)
  try {
    return Buffer.concat(await Array.fromAsync(blob.stream({ range })))
  } finally {
    await blob.close()
  }
}

export async function sendAll(store: BlobStore, key: BlobKey, range?: { start: number; end: number }): Promise<Buffer> {
  const blob = await store.open(key)
  if (!blob) throw new Error(`${key.digest} is absent`)
  const { sink, taken } = gatheringSink()
  try {
    await blob.sendTo(sink, { range })
    return Buffer.concat(taken)
  } finally {
    await blob.close()
  }
}

/** A sink that keeps every chunk as it was when it came, and takes its time. */
export function gatheringSink(): { sink: Writable; taken: Buffer[]; mostWaitingBytes: () => number } {
  const taken: Buffer[] = []
  let mostWaitingBytes = 0
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      mostWaitingBytes = Math.max(mostWaitingBytes, sink.writableLength)
      setImmediate(() => {
        taken.push(Buffer.from(chunk))
        done()
      })
    },
  })
  return { sink, taken, mostWaitingBytes: () => mostWaitingBytes }
}

/** What is left in staging once nothing is kept there to be compared. */
export async function staged(store: BlobStore): Promise<string[]> {
  await store.compared()
  // Object stores round their times, up or down, to a second.
  const leftovers = await Array.fromAsync(store.walkStaged({ olderThan: new Date(Date.now() + 60_000) }))
  return leftovers.map(({ name }) => name)
}
