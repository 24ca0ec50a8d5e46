import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { ByteRange, Digest } from '@berth/oci'
import { type Database, type Logger, Problem } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { KeptClients } from '../remotes/kept-clients.ts'
import type { Claims } from './claims.ts'
import { type Download, readDownload, startDownload } from './download.ts'
import { keepBytes } from './keep-bytes.ts'
import { type Source, setAside, sourcesOf } from './sources.ts'

/** What became of a wish for a blob: it is in the store by now, another replica fetches it, or it comes. */
export type Fetched =
  | { kind: 'stored'; generation: number }
  | { kind: 'elsewhere'; owner: string; address: string }
  | { kind: 'coming'; read: (range: ByteRange, signal: AbortSignal) => AsyncIterable<Uint8Array> }

/** Fetches blobs from remotes, each once for all who wait for it. */
export type Fetches = {
  /** Waits until there is something to give. Throws a Problem when no source gives the blob. `leave` has to be called. */
  join(wanted: { digest: Digest; sizeBytes: number }): { fetched: Promise<Fetched>; leave: () => void }
  stop(): Promise<void>
}

export type FetchParts = {
  db: Database
  prisma: Prisma
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  remotes: KeptClients
  claims: Claims
  spoolDirectory: string
  log: Logger
}

type Running = {
  fetched: Promise<Fetched>
  waiting: number
  abort: () => void
  over: Promise<void>
  timer?: NodeJS.Timeout
}

// A client that was cut off comes back soon, and goes on with what has come meanwhile.
const lingerMs = 5_000

export function createFetches(parts: FetchParts): Fetches {
  const running = new Map<Digest, Running>()

  const begin = (wanted: { digest: Digest; sizeBytes: number }): Running => {
    const aborted = new AbortController()
    const fetched = Promise.withResolvers<Fetched>()
    const over = fetchOnce(parts, wanted, fetched.resolve, aborted.signal)
      .catch((error: unknown) => {
        if (!(error instanceof Problem) && !aborted.signal.aborted)
          parts.log.error('a blob could not be fetched', { digest: wanted.digest, error })
        fetched.reject(error)
      })
      .finally(() => running.delete(wanted.digest))
    // Whoever waits hears of it; that nobody does is no failure.
    fetched.promise.catch(() => {})
    return { fetched: fetched.promise, waiting: 0, abort: () => aborted.abort(), over }
  }

  return {
    join: (wanted) => {
      const one = running.get(wanted.digest) ?? begin(wanted)
      running.set(wanted.digest, one)
      clearTimeout(one.timer)
      one.waiting++
      let hasLeft = false
      return {
        fetched: one.fetched,
        leave: () => {
          if (hasLeft) return
          hasLeft = true
          if (--one.waiting === 0) one.timer = setTimeout(one.abort, lingerMs).unref()
        },
      }
    },
    stop: async () => {
      for (const { abort, timer } of running.values()) {
        clearTimeout(timer)
        abort()
      }
      await Promise.all([...running.values()].map((one) => one.over))
    },
  }
}

/** One fetch from beginning to end: `tell` is called as soon as there is something to give. */
async function fetchOnce(
  parts: FetchParts,
  wanted: { digest: Digest; sizeBytes: number },
  tell: (fetched: Fetched) => void,
  signal: AbortSignal,
): Promise<void> {
  const { digest } = wanted
  const sources = await sourcesOf(parts.db, digest)
  const keeping = sources.some((source) => source.isKept) ? await keepBytes(parts, wanted, signal) : undefined
  try {
    if (keeping?.isPresent) {
      tell({ kind: 'stored', generation: keeping.generation })
      return
    }
    const claim = await parts.claims.claim(digest)
    if (!claim.isOurs) {
      tell({ kind: 'elsewhere', owner: claim.owner, address: claim.address })
      return
    }
    try {
      const download = await startDownload(downloading(parts, sources, keeping), wanted, signal)
      try {
        await download.begun
        tell({ kind: 'coming', read: (range, reader) => readDownload(download, range, { signal: reader }) })
        await download.done
        await keeping?.keep()
      } finally {
        await download.spool.release()
      }
    } finally {
      await claim.release()
    }
  } finally {
    await keeping?.end()
  }
}

function downloading(
  parts: FetchParts,
  sources: readonly Source[],
  keeping: { follow(spool: Download['spool']): void } | undefined,
) {
  return {
    folder: parts.spoolDirectory,
    log: parts.log,
    sources,
    use: async <T>(remoteId: string, work: Parameters<typeof parts.remotes.use<T>>[1]) => {
      const remote = await parts.prisma.remote.findUnique({ where: { id: remoteId } })
      if (!remote) throw new Problem(503, 'no_source', 'The remote was deleted meanwhile.')
      return parts.remotes.use(remote, work)
    },
    onLie: (source: Source, reason: string) => setAside(parts.db, source.remoteId, reason),
    onSpool: (spool: Download['spool']) => keeping?.follow(spool),
  }
}
