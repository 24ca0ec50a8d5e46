import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { ByteRange, Digest } from '@berth/oci'
import { type Database, type Logger, Problem } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import { type Source, setAside, sourcesOf } from '../fetch/sources.ts'
import type { KeptClients } from '../remotes/kept-clients.ts'
import type { Claims } from './claims.ts'
import { type Download, readDownload, startDownload } from './download.ts'
import { keepBytes } from './keep-bytes.ts'

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
  /** How long a fetch that nobody waits for goes on; 5 s unless set. */
  lingerMs?: number
}

/** A fetch, for as long as others may join it. */
type Running = {
  fetched: Promise<Fetched>
  waiting: number
  /** Whether it goes on when nobody waits: all bytes are here and are being kept, or it is over. */
  isWhole: boolean
  isClosed: boolean
  abort: () => void
  /** The last of those who joined has left. */
  drained: PromiseWithResolvers<void>
  over: Promise<void>
  timer?: NodeJS.Timeout
}

// A client that was cut off comes back soon, and goes on with what has come meanwhile.
const defaultLingerMs = 5_000

/** Makes the fetches of one replica; among replicas the claims say who fetches. */
export function createFetches(parts: FetchParts): Fetches {
  const { lingerMs = defaultLingerMs } = parts
  const running = new Map<Digest, Running>()
  /** Also those that nobody may join any more. */
  const unfinished = new Set<Running>()

  const begin = (wanted: { digest: Digest; sizeBytes: number }): Running => {
    const aborted = new AbortController()
    const fetched = Promise.withResolvers<Fetched>()
    // Whoever waits hears of a failure; that nobody does is none.
    fetched.promise.catch(() => {})
    const one: Running = {
      fetched: fetched.promise,
      waiting: 0,
      isWhole: false,
      isClosed: false,
      abort: () => {},
      drained: Promise.withResolvers(),
      over: Promise.resolve(),
    }
    const whole = () => {
      one.isWhole = true
      clearTimeout(one.timer)
    }
    const retire = () => {
      if (running.get(wanted.digest) === one) running.delete(wanted.digest)
    }
    one.abort = () => {
      // Its end takes a moment, in which whoever comes would join what fails.
      retire()
      aborted.abort()
    }
    const close = () => {
      whole()
      one.isClosed = true
      retire()
      unfinished.delete(one)
      if (one.waiting === 0) one.drained.resolve()
    }
    running.set(wanted.digest, one)
    unfinished.add(one)
    one.over = fetchOnce(parts, wanted, { tell: fetched.resolve, whole, drained: one.drained.promise }, aborted.signal)
      .catch((error: unknown) => {
        if (!(error instanceof Problem) && !aborted.signal.aborted)
          parts.log.error('a blob could not be fetched', { digest: wanted.digest, error })
        fetched.reject(error)
      })
      .finally(close)
    return one
  }

  const leave = (one: Running) => {
    if (--one.waiting > 0) return
    if (one.isClosed) one.drained.resolve()
    else if (!one.isWhole) one.timer = setTimeout(one.abort, lingerMs).unref()
  }

  return {
    join: (wanted) => {
      const one = running.get(wanted.digest) ?? begin(wanted)
      clearTimeout(one.timer)
      one.waiting++
      let hasLeft = false
      return {
        fetched: one.fetched,
        leave: () => {
          if (!hasLeft) leave(one)
          hasLeft = true
        },
      }
    },
    stop: async () => {
      const all = [...unfinished]
      for (const { abort, timer } of all) {
        clearTimeout(timer)
        abort()
      }
      await Promise.all(all.map((one) => one.over))
    },
  }
}

type Hooks = {
  /** There is something to give. */
  tell: (fetched: Fetched) => void
  /** All bytes are here. */
  whole: () => void
  drained: Promise<void>
}

/** One fetch from beginning to end. */
async function fetchOnce(
  parts: FetchParts,
  wanted: { digest: Digest; sizeBytes: number },
  hooks: Hooks,
  signal: AbortSignal,
): Promise<void> {
  const { digest } = wanted
  const sources = await sourcesOf(parts.db, digest)
  const keeping = sources.some((source) => source.isKept) ? await keepBytes(parts, wanted, signal) : undefined
  try {
    if (keeping?.isPresent) {
      hooks.tell({ kind: 'stored', generation: keeping.generation })
      return
    }
    const claim = await parts.claims.claim(digest)
    if (!claim.isOurs) {
      hooks.tell({ kind: 'elsewhere', owner: claim.owner, address: claim.address })
      return
    }
    try {
      const download = await startDownload(downloading(parts, sources, keeping), wanted, signal)
      // Also for those who joined and have not begun to read.
      void hooks.drained
        .then(() => download.spool.release())
        .catch((error: unknown) => parts.log.warn('the file of a fetch was not closed', { digest, error }))
      await download.begun
      hooks.tell({ kind: 'coming', read: (range, reader) => readDownload(download, range, { signal: reader }) })
      await download.done
      hooks.whole()
      await keeping?.keep()
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
