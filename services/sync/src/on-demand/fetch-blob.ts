import { setTimeout as delay } from 'node:timers/promises'
import { type SyncCommands, storedGeneration } from '@berth/commands'
import { ByteReply, type InternalClient } from '@berth/service'
import type { Claims } from './claims.ts'
import type { Fetched, Fetches } from './fetches.ts'

type Fetch = SyncCommands['fetch-blob']['request']
type Deps = { fetches: Fetches; claims: Claims; clientOf: (address: string) => InternalClient }

/** Answers `fetch-blob`: the bytes as they come, from here or through the replica that fetches them. */
export async function fetchBlob(deps: Deps, wanted: Fetch, signal: AbortSignal): Promise<ByteReply> {
  for (;;) {
    const joined = deps.fetches.join(wanted)
    try {
      const fetched = await orAbort(joined.fetched, signal)
      if (fetched.kind === 'coming') return await coming(fetched, wanted, joined.leave, signal)
      joined.leave()
      if (fetched.kind === 'stored') return stored(fetched.generation)
      const reply = await askOwner(deps, fetched, wanted, signal)
      if (reply) return reply
    } catch (error) {
      joined.leave()
      throw error
    }
  }
}

function stored(generation: number): ByteReply {
  return new ByteReply({ 'content-length': '0', [storedGeneration]: String(generation) }, nothing())
}

async function* nothing(): AsyncIterable<Uint8Array> {}

// A range far from the beginning may be long in coming, and clients and proxies wait for a head only so long.
const firstBytesWithinMs = 5_000

/**
 * Gives the bytes when the first of them can be given: until then a failure is an answer with its reason, and afterwards an answer
 * that breaks off.
 */
async function coming(
  { begins, read }: Extract<Fetched, { kind: 'coming' }>,
  { sizeBytes, range = { start: 0, end: sizeBytes - 1 } }: Fetch,
  leave: () => void,
  signal: AbortSignal,
): Promise<ByteReply> {
  // The caller may go away before it begins to read.
  signal.addEventListener('abort', leave, { once: true })
  if (signal.aborted) leave()
  const begun = begins(range, signal)
  // What fails later, whoever reads hears of.
  begun.catch(() => {})
  await Promise.race([begun, delay(firstBytesWithinMs, undefined, { ref: false })])
  const source = async function* () {
    try {
      yield* read(range, signal)
    } finally {
      leave()
    }
  }
  return new ByteReply({ 'content-length': String(range.end - range.start + 1) }, source())
}

/** Hands on what the replica gives that fetches the blob. `undefined`: it does not answer, and has lost its claim. */
async function askOwner(
  { claims, clientOf }: Deps,
  { owner, address }: Extract<Fetched, { kind: 'elsewhere' }>,
  wanted: Fetch,
  signal: AbortSignal,
): Promise<ByteReply | undefined> {
  try {
    const { headers, body } = await clientOf(address).bytes('fetch-blob', wanted, { signal })
    const kept = ['content-length', storedGeneration].flatMap((name) => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value] as const] : []
    })
    return new ByteReply(Object.fromEntries(kept), body)
  } catch (error) {
    const { code } = error as { code?: string }
    if (code !== 'service_unavailable') throw error
    await claims.revoke(wanted.digest, owner)
    await delay(100, undefined, { signal })
    return undefined
  }
}

async function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
