import { statfs } from 'node:fs/promises'
import { orFail } from './file-system/failure.ts'
import { BlobStoreError } from './store/errors.ts'
import type { Disk, DiskState } from './store/store.ts'

/** Keeps pushes and syncs from taking the last of a disk, which PostgreSQL, deletes and collections need. */
export type DiskReserve = {
  /** Throws `BlobStoreError` `below_reserve` when a disk has less than its reserve, or would have after so many bytes. */
  refuse(expectedBytes?: number): Promise<void>
  /** The same for a chunk of what is being written, by what was seen a second ago at most and what came since. */
  take(bytes: number): void
  /** Throws `BlobStoreError` when a disk does not answer. */
  states(): Promise<DiskState[]>
  stop(): void
}

const gibibyte = 1 << 30
const usualShare = 0.02
const largestShare = 0.1
const lookEveryMs = 1_000
const freshMs = 200

type Ask = (folder: string) => Promise<{ bavail: number; blocks: number; bsize: number }>

/** Reserves `reserveBytes` of each disk; unless set, the larger of 1 GiB and 2 % of the disk, and 10 % of it at most. */
export function reserveDisks(disks: readonly Disk[], reserveBytes?: number, ask: Ask = statfs): DiskReserve {
  let seen: DiskState[] = []
  let seenAt = Number.NEGATIVE_INFINITY
  let takenSince = 0
  const lookNow = async () => {
    // All have to end: a disk that still hangs behind one that failed would be asked once more by the next look.
    const states = await Promise.allSettled(disks.map((disk) => stateOf(disk, reserveBytes, ask)))
    seen = states.map((state) => {
      if (state.status === 'rejected') throw state.reason
      return state.value
    })
    seenAt = performance.now()
    takenSince = 0
    return seen
  }
  let looking: Promise<DiskState[]> | undefined
  // One at a time: of a disk that hangs each would hold one of the few threads that all work on files needs.
  const look = () => {
    looking ??= lookNow().finally(() => {
      looking = undefined
    })
    return looking
  }
  // A disk that cannot be asked fails the write itself, which says more.
  const timer = setInterval(() => void look().catch(() => 'asked again'), lookEveryMs).unref()
  const lowOf = (states: readonly DiskState[], expectedBytes: number) =>
    states.find(({ freeBytes, reserveBytes: kept }) => freeBytes - expectedBytes < kept)
  const refuseFrom = (states: readonly DiskState[], expectedBytes = 0) => {
    const low = lowOf(states, expectedBytes)
    if (!low) return
    const left = `the disk of ${low.name} has ${megabytes(low.freeBytes)} left`
    const kept = `${megabytes(low.reserveBytes)} are kept free so that Berth goes on working`
    throw new BlobStoreError('below_reserve', `${left}, and ${kept}; free space, or collect what nothing needs`)
  }
  return {
    refuse: async (expectedBytes = 0) => {
      // Many small blobs come in a second, and each would ask the disk; what they take is counted meanwhile.
      const isFresh = performance.now() - seenAt < freshMs
      if (isFresh && !lowOf(seen, takenSince + expectedBytes)) return
      refuseFrom(await look(), expectedBytes)
    },
    take: (bytes) => {
      takenSince += bytes
      refuseFrom(seen, takenSince)
    },
    states: look,
    stop: () => clearInterval(timer),
  }
}

async function stateOf(disk: Disk, reserveBytes: number | undefined, ask: Ask): Promise<DiskState> {
  const { bavail, blocks, bsize } = await orFail(`ask how much is left of the disk of ${disk.name}`, () =>
    ask(disk.folder),
  )
  const sizeBytes = blocks * bsize
  const usual = Math.min(Math.max(gibibyte, sizeBytes * usualShare), sizeBytes * largestShare)
  return { ...disk, freeBytes: bavail * bsize, reserveBytes: reserveBytes ?? Math.floor(usual) }
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / 1e6).toLocaleString('en')} MB`
}
