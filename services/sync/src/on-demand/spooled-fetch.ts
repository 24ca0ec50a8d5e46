import { createHash, type Hash } from 'node:crypto'
import { algorithmOf, type ByteRange, type Digest } from '@berth/oci'
import { type RegistryClient, UpstreamError, type UpstreamErrorCode } from '@berth/registry-client'
import { type Logger, Problem } from '@berth/service'
import type { Source } from '../fetch/sources.ts'
import { openSpool, type Spool } from './spool.ts'

/** The bytes so far were wrong; they come again from elsewhere. */
class BegunAnew extends Error {
  override name = 'BegunAnew'
}

export type SpooledFetch = {
  /** Where the bytes are now; another one after each new beginning. */
  spool: Spool
  /** Settles with the first bytes, or with the failure of all sources. */
  begun: Promise<void>
  /** Settles with the last bytes, verified. */
  done: Promise<void>
}

type Wanted = { digest: Digest; sizeBytes: number }
type Deps = {
  folder: string
  log: Logger
  sources: readonly Source[]
  use<T>(remoteId: string, work: (client: RegistryClient) => Promise<T>): Promise<T>
  onLie: (source: Source, reason: string) => Promise<void>
  onSpool: (spool: Spool) => void
}

/**
 * Fetches a blob from the first of its sources that gives it. One that breaks off is gone on with at the next; wrong bytes are
 * begun anew, without the one that gave them, or each alone where several did, for it is not known which of them was wrong. Throws a
 * Problem with what each of them said when none is left.
 */
export async function startSpooledFetch(deps: Deps, wanted: Wanted, signal: AbortSignal): Promise<SpooledFetch> {
  const begun = Promise.withResolvers<void>()
  const fetch: SpooledFetch = { spool: await openSpool(deps.folder), begun: begun.promise, done: Promise.resolve() }
  deps.onSpool(fetch.spool)
  fetch.done = tryAll(deps, wanted, fetch, begun.resolve, signal).then(begun.resolve, (error: unknown) => {
    begun.reject(error)
    fetch.spool.fail(error)
    throw error
  })
  // Both are also awaited by the callers that read; without one a failure is none of the process.
  begun.promise.catch(() => {})
  fetch.done.catch(() => {})
  return fetch
}

async function tryAll(
  deps: Deps,
  wanted: Wanted,
  fetch: SpooledFetch,
  begin: () => void,
  signal: AbortSignal,
): Promise<void> {
  const reasons: UpstreamError[] = []
  const left = [...deps.sources]
  let hash = createHash(algorithmOf(wanted.digest))
  // The sources that gave a piece of what there is so far.
  let givers: Source[] = []
  let isAlone = false
  for (let source = left.shift(); source; source = left.shift()) {
    try {
      const before = fetch.spool.receivedBytes
      await readFrom(deps, source, wanted, { spool: fetch.spool, hash, begin, signal }).finally(() => {
        if (source && fetch.spool.receivedBytes > before) givers.push(source)
      })
      if (`${algorithmOf(wanted.digest)}:${hash.digest('hex')}` === wanted.digest) {
        fetch.spool.verified()
        return
      }
      if (givers.length > 1) {
        // The one that did not break off first.
        left.unshift(...givers.toReversed())
        isAlone = true
      } else await blame(deps, source, wanted, reasons)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof UpstreamError)) throw error
      deps.log.warn('a remote does not give a blob', {
        remote: source.remote,
        digest: wanted.digest,
        reason: error.message,
      })
      reasons.push(error)
      // What came so far stays in the spool: the next one goes on there.
      if (error.code !== 'bad_digest' && (!isAlone || givers.length === 0)) continue
      if (error.code === 'bad_digest') await deps.onLie(source, error.message)
    }
    const old = fetch.spool
    fetch.spool = await openSpool(deps.folder)
    deps.onSpool(fetch.spool)
    old.fail(new BegunAnew('wrong bytes came from upstream'))
    await old.release()
    hash = createHash(algorithmOf(wanted.digest))
    givers = []
  }
  throw noSourceHasIt(wanted, reasons)
}

async function blame(deps: Deps, source: Source, { digest }: Wanted, reasons: UpstreamError[]): Promise<void> {
  const reason = `${source.remote} gave other bytes than ${digest}`
  deps.log.error('a remote gave wrong bytes', { remote: source.remote, digest })
  reasons.push(new UpstreamError('bad_digest', reason, { host: source.remote }))
  await deps.onLie(source, reason)
}

async function readFrom(
  deps: Deps,
  source: Source,
  { digest, sizeBytes }: Wanted,
  { spool, hash, begin, signal }: { spool: Spool; hash: Hash; begin: () => void; signal: AbortSignal },
): Promise<void> {
  await deps.use(source.remoteId, async (client) => {
    for await (const chunk of client.blob(
      source.repository,
      { digest, sizeBytes, from: spool.receivedBytes },
      signal,
    )) {
      hash.update(chunk)
      await spool.append(chunk)
      begin()
    }
  })
}

/**
 * Where no source has it any more, or has it otherwise than its manifest says, trying again does not help; where none could be asked,
 * it may. Names no remote: the client that pulls may know nothing of those that others use for the same layer. The log has all of it.
 */
function noSourceHasIt({ digest, sizeBytes }: Wanted, reasons: readonly UpstreamError[]): Problem {
  const said = reasons.map((reason) => `one ${wordsFor(reason, sizeBytes)}`).join(', ')
  const only = (...codes: UpstreamErrorCode[]) =>
    reasons.length > 0 && reasons.every(({ code }) => codes.includes(code))
  if (only('not_found')) return new Problem(404, 'blob_not_found', `no upstream has ${digest} any more: ${said}`)
  if (only('not_found', 'bad_digest', 'short_body'))
    return new Problem(502, 'upstream_wrong_bytes', `no upstream has ${digest} as its manifest says: ${said}`, {
      hint: 'Upstream the image has to be pushed again.',
    })
  return new Problem(
    503,
    'no_source',
    reasons.length === 0 ? `no remote is known that has ${digest}` : `no upstream gives ${digest} now: ${said}`,
    { headers: { 'retry-after': '30' } },
  )
}

function wordsFor({ code, status }: UpstreamError, sizeBytes: number): string {
  if (code === 'bad_digest') return `gave other bytes, or more than ${sizeBytes}`
  if (code === 'short_body') return `gave fewer than ${sizeBytes} bytes`
  return status ? `answered ${status}` : `failed (${code})`
}

/** Waits until the first bytes of a range can be read, wherever its fetch goes on. */
export async function awaitSpooledFetch(
  fetch: SpooledFetch,
  range: ByteRange,
  options: { signal: AbortSignal },
): Promise<void> {
  for (;;) {
    try {
      await fetch.spool.begins(range, options)
      return
    } catch (error) {
      if (!(error instanceof BegunAnew)) throw error
    }
  }
}

/** Reads a range of a blob from wherever its fetch goes on; one that has given bytes of a spool cannot change to another. */
export async function* readSpooledFetch(
  fetch: SpooledFetch,
  range: ByteRange,
  options: { signal: AbortSignal },
): AsyncIterable<Uint8Array> {
  let given = 0
  for (;;) {
    try {
      for await (const chunk of fetch.spool.read(range, options)) {
        given += chunk.length
        yield chunk
      }
      return
    } catch (error) {
      if (!(error instanceof BegunAnew) || given > 0) throw error
    }
  }
}
