import { createHash, type Hash } from 'node:crypto'
import { algorithmOf, type ByteRange, type Digest } from '@berth/oci'
import { type RegistryClient, UpstreamError } from '@berth/registry-client'
import { type Logger, Problem } from '@berth/service'
import type { Source } from '../fetch/sources.ts'
import { openSpool, type Spool } from './spool.ts'

/** The bytes so far were wrong; they come again from elsewhere. */
class BegunAnew extends Error {
  override name = 'BegunAnew'
}

export type Download = {
  /** Where the bytes are now; another one after each new beginning. */
  spool: Spool
  /** Settles with the first bytes, or with the failure of all sources. */
  begun: Promise<void>
  /** Settles with the last bytes, verified. */
  done: Promise<void>
}

type Wanted = { digest: Digest; sizeBytes: number }
type Parts = {
  folder: string
  log: Logger
  sources: readonly Source[]
  use<T>(remoteId: string, work: (client: RegistryClient) => Promise<T>): Promise<T>
  onLie: (source: Source, reason: string) => Promise<void>
  onSpool: (spool: Spool) => void
}

/**
 * Fetches a blob from the first of its sources that gives it. One that breaks off is gone on with at the next; wrong bytes are
 * begun anew, without the one that gave them, or each alone where several did: nobody can tell whose part was wrong. Throws a
 * Problem with what each of them said when none is left.
 */
export async function startDownload(parts: Parts, wanted: Wanted, signal: AbortSignal): Promise<Download> {
  const begun = Promise.withResolvers<void>()
  const download: Download = { spool: await openSpool(parts.folder), begun: begun.promise, done: Promise.resolve() }
  parts.onSpool(download.spool)
  download.done = tryAll(parts, wanted, download, begun.resolve, signal).then(begun.resolve, (error: unknown) => {
    begun.reject(error)
    download.spool.fail(error)
    throw error
  })
  // Whoever waits for either hears of it.
  begun.promise.catch(() => {})
  download.done.catch(() => {})
  return download
}

async function tryAll(
  parts: Parts,
  wanted: Wanted,
  download: Download,
  begin: () => void,
  signal: AbortSignal,
): Promise<void> {
  const reasons: UpstreamError[] = []
  const left = [...parts.sources]
  let hash = createHash(algorithmOf(wanted.digest))
  // Whoever gave a part of what there is so far.
  let givers: Source[] = []
  let isAlone = false
  for (let source = left.shift(); source; source = left.shift()) {
    try {
      const before = download.spool.receivedBytes
      await readFrom(parts, source, wanted, { spool: download.spool, hash, begin, signal }).finally(() => {
        if (source && download.spool.receivedBytes > before) givers.push(source)
      })
      if (`${algorithmOf(wanted.digest)}:${hash.digest('hex')}` === wanted.digest) {
        download.spool.verified()
        return
      }
      if (givers.length > 1) {
        // The one that did not break off first.
        left.unshift(...givers.toReversed())
        isAlone = true
      } else await blame(parts, source, wanted, reasons)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof UpstreamError)) throw error
      parts.log.warn('a remote does not give a blob', {
        remote: source.remote,
        digest: wanted.digest,
        reason: error.message,
      })
      reasons.push(error)
      // What came so far is kept: the next one goes on there.
      if (error.code !== 'bad_digest' && (!isAlone || givers.length === 0)) continue
      if (error.code === 'bad_digest') await parts.onLie(source, error.message)
    }
    const old = download.spool
    download.spool = await openSpool(parts.folder)
    parts.onSpool(download.spool)
    old.fail(new BegunAnew('wrong bytes came from upstream'))
    await old.release()
    hash = createHash(algorithmOf(wanted.digest))
    givers = []
  }
  throw nobodyHasIt(wanted.digest, reasons)
}

async function blame(parts: Parts, source: Source, { digest }: Wanted, reasons: UpstreamError[]): Promise<void> {
  const reason = `${source.remote} gave other bytes than ${digest}`
  parts.log.error('a remote gave wrong bytes', { remote: source.remote, digest })
  reasons.push(new UpstreamError('bad_digest', reason, { host: source.remote }))
  await parts.onLie(source, reason)
}

async function readFrom(
  parts: Parts,
  source: Source,
  { digest, sizeBytes }: Wanted,
  { spool, hash, begin, signal }: { spool: Spool; hash: Hash; begin: () => void; signal: AbortSignal },
): Promise<void> {
  await parts.use(source.remoteId, async (client) => {
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
 * Where nobody has it any more, trying again does not help; where nobody could be asked, it may. Names no remote: whoever pulls
 * may know nothing of those that others use for the same layer. The log has all of it.
 */
function nobodyHasIt(digest: Digest, reasons: readonly UpstreamError[]): Problem {
  const said = reasons.map(({ status, code }) => `one ${status ? `answered ${status}` : `failed (${code})`}`).join(', ')
  if (reasons.length > 0 && reasons.every((reason) => reason.code === 'not_found'))
    return new Problem(404, 'blob_not_found', `no upstream has ${digest} any more: ${said}`)
  return new Problem(
    503,
    'no_source',
    reasons.length === 0 ? `no remote is known that has ${digest}` : `no upstream gives ${digest} now: ${said}`,
    { headers: { 'retry-after': '30' } },
  )
}

/** Reads a range of a download from wherever it goes on; one that has given bytes of a spool cannot change to another. */
export async function* readDownload(
  download: Download,
  range: ByteRange,
  options: { signal: AbortSignal },
): AsyncIterable<Uint8Array> {
  let given = 0
  for (;;) {
    try {
      for await (const chunk of download.spool.read(range, options)) {
        given += chunk.length
        yield chunk
      }
      return
    } catch (error) {
      if (!(error instanceof BegunAnew) || given > 0) throw error
    }
  }
}
