// A thread has no origin; the rule means windows.
/* oxlint-disable unicorn/require-post-message-target-origin */
import { createHash, type Hash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'

/** What the main thread asks: feed bytes (of shared memory) to a hash, finish it, or forget it. */
export type HashRequest =
  | { kind: 'update'; id: number; algorithm: string; bytes: Uint8Array }
  | { kind: 'finish'; id: number; algorithm: string }
  | { kind: 'drop'; id: number }

/** Answers come in the order of the requests; `drop` has none. */
export type HashReply = { id: number; hex?: string }

const hashes = new Map<number, Hash>()

function hashOf(id: number, algorithm: string): Hash {
  let hash = hashes.get(id)
  if (!hash) {
    hash = createHash(algorithm)
    hashes.set(id, hash)
  }
  return hash
}

parentPort?.on('message', (request: HashRequest) => {
  const { id } = request
  if (request.kind === 'update') {
    hashOf(id, request.algorithm).update(request.bytes)
    parentPort?.postMessage({ id } satisfies HashReply)
    return
  }
  if (request.kind === 'finish') {
    const hex = hashOf(id, request.algorithm).digest('hex')
    parentPort?.postMessage({ id, hex } satisfies HashReply)
  }
  hashes.delete(id)
})
