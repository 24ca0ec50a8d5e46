// A thread has no origin; the rule means windows.
/* oxlint-disable unicorn/require-post-message-target-origin */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { BlobStoreError } from '../store/errors.ts'
import type { HashReply, HashRequest } from './hash-worker.ts'

/** A running hash whose work is done in another thread. */
export type RemoteHash = {
  /** Resolves once the bytes are read; until then they must not change. They must lie in shared memory. */
  update(bytes: Uint8Array): Promise<void>
  /** The hex digest of everything so far; ends the hash. */
  finish(): Promise<string>
  /** Forgets it; for when the digest will not be asked for. */
  drop(): void
}

export type HashThreads = { start(algorithm: string): RemoteHash; close(): Promise<void> }

type Waiter = { resolve(hex: string | undefined): void; reject(error: Error): void }
type Thread = { worker: Worker; hashes: number; waiting: Map<number, Waiter[]>; failed?: Error }

/** Threads are started when first needed, keep no process alive while idle, and are replaced when one dies. */
export function createHashThreads(limit = Math.max(1, Math.min(4, availableParallelism() - 1))): HashThreads {
  const threads = new Set<Thread>()
  let lastId = 0
  let closed = false

  const leastBusy = (): Thread => {
    const [best] = [...threads].sort((a, b) => a.hashes - b.hashes)
    if (best && (best.hashes === 0 || threads.size >= limit)) return best
    const thread = startThread((gone) => threads.delete(gone))
    threads.add(thread)
    return thread
  }

  return {
    start(algorithm) {
      if (closed) throw new BlobStoreError('unavailable', 'the blob store is closed')
      lastId += 1
      return remoteHash(leastBusy(), lastId, algorithm)
    },
    async close() {
      closed = true
      await Promise.all([...threads].map((thread) => thread.worker.terminate()))
    },
  }
}

function startThread(onGone: (thread: Thread) => void): Thread {
  const worker = new Worker(new URL('./hash-worker.ts', import.meta.url), { name: 'berth-hash' })
  const thread: Thread = { worker, hashes: 0, waiting: new Map() }
  const fail = (cause?: unknown) => {
    thread.failed ??= new BlobStoreError('unavailable', 'the hashing thread ended unexpectedly; try again', { cause })
    onGone(thread)
    for (const waiters of thread.waiting.values()) for (const waiter of waiters) waiter.reject(thread.failed)
    thread.waiting.clear()
  }
  worker.on('message', ({ id, hex }: HashReply) => {
    const waiters = thread.waiting.get(id)
    waiters?.shift()?.resolve(hex)
    if (waiters?.length !== 0) return
    thread.waiting.delete(id)
    if (thread.waiting.size === 0) worker.unref()
  })
  worker.on('error', fail)
  worker.on('exit', () => fail())
  worker.unref()
  return thread
}

function remoteHash(thread: Thread, id: number, algorithm: string): RemoteHash {
  let ended = false
  thread.hashes += 1
  const end = () => {
    if (!ended) thread.hashes -= 1
    ended = true
  }
  const ask = (request: HashRequest) =>
    new Promise<string | undefined>((resolve, reject) => {
      if (thread.failed) return reject(thread.failed)
      if (thread.waiting.size === 0) thread.worker.ref()
      const waiters = thread.waiting.get(id)
      if (waiters) waiters.push({ resolve, reject })
      else thread.waiting.set(id, [{ resolve, reject }])
      thread.worker.postMessage(request)
    })
  return {
    async update(bytes) {
      await ask({ kind: 'update', id, algorithm, bytes })
    },
    async finish() {
      end()
      return String(await ask({ kind: 'finish', id, algorithm }))
    },
    drop() {
      if (!ended && !thread.failed) thread.worker.postMessage({ kind: 'drop', id } satisfies HashRequest)
      end()
    },
  }
}
