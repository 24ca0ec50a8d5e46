import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { ByteRange, Digest } from '@berth/oci'
import { type Database, type Logger, Problem } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import { type Source, setAside, sourcesOf } from '../fetch/sources.ts'
import type { KeptClients } from '../remotes/kept-clients.ts'
import type { Claims } from './claims.ts'
import { awaitSpooledFetch, readSpooledFetch, type SpooledFetch, startSpooledFetch } from './spooled-fetch.ts'
import { storeBytes } from './store-bytes.ts'

/** What became of a wish for a blob: it is in the store by now, another replica fetches it, or it comes. */
export type Fetched =
  | { kind: 'stored'; generation: number }
  | { kind: 'elsewhere'; owner: string; address: string }
  | {
      kind: 'coming'
      /** Ends when the first bytes of a range can be given. */
      begins: (range: ByteRange, signal: AbortSignal) => Promise<void>
      read: (range: ByteRange, signal: AbortSignal) => AsyncIterable<Uint8Array>
    }

/** Fetches blobs from remotes, each once for all requests that wait for it. */
export type Fetches = {
  /** Waits until there is something to give. Throws a Problem when no source gives the blob. `leave` has to be called. */
  join(wanted: { digest: Digest; sizeBytes: number }): { fetched: Promise<Fetched>; leave: () => void }
  stop(): Promise<void>
}

export type FetchDeps = {
  db: Database
  prisma: Prisma
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  remotes: KeptClients
  claims: Claims
  spoolDirectory: string
  log: Logger
  /** How long a fetch that no request waits for goes on; 5 s unless set. */
  lingerMs?: number
}

/** A fetch, for as long as others may join it. */
type Running = {
  fetched: Promise<Fetched>
  waiting: number
  /** Whether it goes on when no request waits: all bytes are here and are being stored, or it is over. */
  isWhole: boolean
  isClosed: boolean
  abort: () => void
  /** The last request that joined has left. */
  drained: PromiseWithResolvers<void>
  over: Promise<void>
  timer?: NodeJS.Timeout
}

// A client that was cut off comes back soon, and goes on with what has come meanwhile.
const defaultLingerMs = 5_000

/** Makes the fetches of one replica; among replicas the claims say which one fetches. */
export function createFetches(deps: FetchDeps): Fetches {
  const { lingerMs = defaultLingerMs } = deps
  const running = new Map<Digest, Running>()
  /** Also those that cannot be joined any more. */
  const unfinished = new Set<Running>()

  const begin = (wanted: { digest: Digest; sizeBytes: number }): Running => {
    const aborted = new AbortController()
    const fetched = Promise.withResolvers<Fetched>()
    // A request that waits hears of a failure; that none waits is no fault.
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
      // Its end takes a moment, in which a new request would join what fails.
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
    one.over = fetchOnce(deps, wanted, { tell: fetched.resolve, whole, drained: one.drained.promise }, aborted.signal)
      .catch((error: unknown) => {
        if (!(error instanceof Problem) && !aborted.signal.aborted)
          deps.log.error('a blob could not be fetched', { digest: wanted.digest, error })
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
  deps: FetchDeps,
  wanted: { digest: Digest; sizeBytes: number },
  hooks: Hooks,
  signal: AbortSignal,
): Promise<void> {
  const { digest } = wanted
  const sources = await sourcesOf(deps.db, digest)
  const storing = sources.some((source) => source.isStored) ? await storeBytes(deps, wanted, signal) : undefined
  try {
    if (storing?.isPresent) {
      hooks.tell({ kind: 'stored', generation: storing.generation })
      return
    }
    const claim = await deps.claims.claim(digest)
    if (!claim.isOurs) {
      hooks.tell({ kind: 'elsewhere', owner: claim.owner, address: claim.address })
      return
    }
    try {
      const spooled = await startSpooledFetch(spoolingDeps(deps, sources, storing), wanted, signal)
      // Not before: a request may have joined and not begun to read.
      void hooks.drained
        .then(() => spooled.spool.release())
        .catch((error: unknown) => deps.log.warn('the file of a fetch was not closed', { digest, error }))
      await spooled.begun
      hooks.tell({
        kind: 'coming',
        begins: (range, reader) => awaitSpooledFetch(spooled, range, { signal: reader }),
        read: (range, reader) => readSpooledFetch(spooled, range, { signal: reader }),
      })
      await spooled.done
      hooks.whole()
      await storing?.finish()
    } finally {
      await claim.release()
    }
  } finally {
    await storing?.release()
  }
}

function spoolingDeps(
  deps: FetchDeps,
  sources: readonly Source[],
  storing: { follow(spool: SpooledFetch['spool']): void } | undefined,
) {
  return {
    folder: deps.spoolDirectory,
    log: deps.log,
    sources,
    use: async <T>(remoteId: string, work: Parameters<typeof deps.remotes.use<T>>[1]) => {
      const remote = await deps.prisma.remote.findUnique({ where: { id: remoteId } })
      if (!remote) throw new Problem(503, 'no_source', 'The remote was deleted meanwhile.')
      return deps.remotes.use(remote, work)
    },
    onLie: (source: Source, reason: string) => setAside(deps.db, source.remoteId, reason),
    onSpool: (spool: SpooledFetch['spool']) => storing?.follow(spool),
  }
}
