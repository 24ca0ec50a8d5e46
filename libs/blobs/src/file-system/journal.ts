import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { journalPath, stagingFolder, unflushedMark } from '../store/paths.ts'
import { closeFile, cutFile, moveFile, openLog, removeFile, syncFile, writeFlushed } from './descriptors.ts'
import type { Folders } from './folders.ts'
import { recordHead } from './journal-record.ts'
import { assertMounted } from './self-test.ts'

/**
 * Makes small blobs durable by one append that all who wait share, instead of an fsync of each file and of its folder. Their
 * own files are written unflushed and flushed later, before the log that has their bytes too goes (docs/decisions/0053).
 */
export type Journal = {
  /**
   * Makes the bytes of a place durable, then has `put` write the file there, and answers what that does. The log stays until the
   * file is flushed.
   */
  write<T>(place: string, bytes: Uint8Array, put: () => Promise<T>): Promise<T>
  /** Why the store is not to be relied on, if it is not: until the next start, which writes anew what could not be flushed. */
  unready(): string | undefined
  /** Flushes the files of all logs, and removes these. */
  close(): Promise<void>
}

/** `kept`: the files of a log cannot be flushed; `lost`: somebody else has taken a log away. */
type JournalReport = { state: 'kept'; error: unknown } | { state: 'lost' }

export type JournalOptions = {
  /** `<home>.<process>`: by it the logs of the process are told from those of others that share the store. */
  owner: string
  /** Only this process takes in uploads, so that no other one needs what it has in memory of them. */
  isAlone?: boolean | undefined
  hear?: ((report: JournalReport) => void) | undefined
  /** For tests. */
  limits?: Partial<typeof usualLimits> | undefined
}

const usualLimits = {
  // What a start after a crash has to read again, and what the log takes of the disk beside the files.
  logBytes: 32 << 20,
  logMs: 60_000,
  // Linux writes back by itself what is older than 30 s, and looks each 5 s: then to flush a file costs half as much
  // processor time and no write.
  restMs: 40_000,
  // More than these do not rest: a flood of pushes shall not fill the disk twice.
  resting: 4,
}
// Of one append: more bytes do not come faster.
const appendBytes = 4 << 20
// A log is filled with zeros ahead of its records, at first so many bytes, then as many as it has. An append into what is there
// changes no size and takes no block, so that the file system has nothing of its own to flush with it.
const firstAheadBytes = 256 << 10
const mostAheadBytes = 4 << 20

type Waiting = { place: string; bytes: Uint8Array; resolve: (log: Log) => void; reject: (error: unknown) => void }
type Log = {
  path: string
  fd: number
  /** What its records have, and what there is with the zeros behind them. */
  sizeBytes: number
  endBytes: number
  /** Where it has the bytes of a file that was written and not flushed. */
  places: Set<string>
  /** Writes between the beginning of their append and the end of `put`. */
  users: number
  onUnused: (() => void) | undefined
  timer: NodeJS.Timeout
}

export function createJournal(root: string, folders: Folders, options: JournalOptions): Journal {
  const limits = { ...usualLimits, ...options.limits }
  const waiting: Waiting[] = []
  const resting = new Set<Log>()
  let current: Log | undefined
  let appending: Promise<void> | undefined
  let retiring = Promise.resolve()
  let isClosing = false
  let isKept = false

  /** Its name is durable before anything in it is acknowledged. */
  const begin = async (): Promise<Log> => {
    const path = join(root, journalPath(options.owner, randomUUID()))
    const fd = await openLog(path)
    try {
      await folders.sync(stagingFolder)
    } catch (error) {
      await Promise.allSettled([closeFile(fd), removeFile(path)])
      throw error
    }
    const timer = setTimeout(() => end(log), limits.logMs).unref()
    const log: Log = { path, fd, sizeBytes: 0, endBytes: 0, places: new Set(), users: 0, onUnused: undefined, timer }
    return log
  }

  /** Nothing more is appended to it. It rests a while before its files are flushed. */
  const end = (log: Log): void => {
    if (current !== log) return
    current = undefined
    clearTimeout(log.timer)
    resting.add(log)
    log.timer = setTimeout(() => retireSoon(log), limits.restMs).unref()
    const [oldest] = resting
    if (oldest && resting.size > limits.resting) retireSoon(oldest)
  }

  const retireSoon = (log: Log): void => {
    if (!resting.delete(log)) return
    clearTimeout(log.timer)
    // It tells of its failures itself; only a listener that throws comes here, and the next log has its turn all the same.
    retiring = retiring.then(() => retire(log)).catch(() => undefined)
  }

  const retire = async (log: Log): Promise<void> => {
    if (log.users > 0) await new Promise<void>((resolve) => (log.onUnused = resolve))
    // Each append to it was flushed by itself: a close that fails loses nothing.
    await closeFile(log.fd).catch(() => undefined)
    try {
      // While others wait for the disk too, one at a time.
      await flushFiles(root, folders, log.places, isClosing ? 4 : 1)
      // Not synced: a log that comes back after a power cut is replayed once more.
      if (!(await removeFile(log.path))) options.hear?.({ state: 'lost' })
    } catch (error) {
      isKept = true
      options.hear?.({ state: 'kept', error })
      // The next start must not believe what it reads of these files, for it may be in memory alone. Without the mark, which a disk
      // that fails may refuse too, it does.
      await moveFile(log.path, `${log.path}${unflushedMark}`).catch(() => undefined)
    }
  }

  const leave = (log: Log, writes: number): void => {
    log.users -= writes
    if (log.users === 0) log.onUnused?.()
  }

  const append = async (batch: readonly Waiting[]): Promise<void> => {
    let log: Log | undefined
    try {
      log = current ??= await begin()
      log.users += batch.length
      const buffers = batch.flatMap(({ place, bytes }) => [recordHead(place, bytes.length), bytes])
      await fillAhead(log, buffers)
      log.sizeBytes += await writeFlushed(log.fd, buffers, log.sizeBytes)
      for (const { resolve } of batch) resolve(log)
      if (log.sizeBytes >= limits.logBytes) end(log)
    } catch (error) {
      // After a failed flush a descriptor says nothing true any more. What was acknowledged before is in the log all the same,
      // and the next append begins another one. On a full disk what has come of this one takes room that others need.
      if (log) {
        await cutFile(log.fd, log.sizeBytes).catch(() => undefined)
        leave(log, batch.length)
        end(log)
      }
      for (const { reject } of batch) reject(error)
    }
  }

  /** Those who come while an append is under way go together in the next one. */
  const appendAllWaiting = async (): Promise<void> => {
    while (waiting.length > 0) await append(waiting.splice(0, countUpTo(appendBytes, waiting)))
    appending = undefined
  }

  const logWith = (place: string, bytes: Uint8Array): Promise<Log> =>
    new Promise((resolve, reject) => {
      waiting.push({ place, bytes, resolve, reject })
      appending ??= appendAllWaiting().catch(reject)
    })

  return {
    write: async (place, bytes, put) => {
      const log = await logWith(place, bytes)
      try {
        const answer = await put()
        log.places.add(place)
        return answer
      } finally {
        leave(log, 1)
      }
    },
    unready: () => (isKept ? 'small blobs are in their journal alone: the disk does not take their files' : undefined),
    close: async () => {
      isClosing = true
      await appending
      if (current) end(current)
      for (const log of resting) retireSoon(log)
      await retiring
    },
  }
}

/** Sees that there is room for these behind the records of a log. */
async function fillAhead(log: Log, buffers: readonly Uint8Array[]): Promise<void> {
  const wanted = log.sizeBytes + buffers.reduce((sum, { length }) => sum + length, 0)
  if (wanted <= log.endBytes) return
  const ahead = Math.min(Math.max(log.endBytes, firstAheadBytes), mostAheadBytes)
  const zeros = Buffer.alloc(wanted - log.endBytes + ahead)
  log.endBytes += await writeFlushed(log.fd, [zeros], log.endBytes)
}

/** How many of the first ones have no more bytes than that; one at least. */
function countUpTo(limitBytes: number, waiting: readonly Waiting[]): number {
  let count = 0
  for (let sizeBytes = 0; count < waiting.length; count += 1) {
    sizeBytes += waiting[count]?.bytes.length ?? 0
    if (count > 0 && sizeBytes > limitBytes) break
  }
  return count
}

/** Flushes files and their folders, so many at once. */
async function flushFiles(root: string, folders: Folders, places: ReadonlySet<string>, width: number): Promise<void> {
  const left = places.values()
  const flushLeft = async () => {
    for (const place of left) {
      // Removed meanwhile by the collector, unless the whole store is gone.
      if (!(await syncFile(join(root, place)))) await assertMounted(root)
    }
  }
  await Promise.all(Array.from({ length: width }, flushLeft))
  for (const folder of new Set([...places].map(dirname))) await folders.sync(folder)
}
