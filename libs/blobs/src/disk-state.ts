import { Gauge, type Metrics, type Notes, Problem } from '@berth/service'
import { BlobStoreError } from './store/errors.ts'
import type { BlobStore, DiskState } from './store/store.ts'

const isLow = ({ freeBytes, reserveBytes }: DiskState) => freeBytes < reserveBytes
const retryAfterSeconds = 30

/** What `/readyz` says of the disks: nothing while there is room. */
export async function reserveNotes(blobs: BlobStore): Promise<Notes> {
  const disks = await statesOf(blobs)
  if (disks instanceof BlobStoreError) return { writes: 'disk does not answer' }
  return disks.some(isLow) ? { writes: 'disk below reserve' } : {}
}

async function statesOf(blobs: BlobStore): Promise<DiskState[] | BlobStoreError> {
  try {
    return (await blobs.disks?.()) ?? []
  } catch (error) {
    if (error instanceof BlobStoreError) return error
    throw error
  }
}

/** Throws the 503 of what would only fill a disk further, or needs one that does not answer. */
export async function refuseBelowReserve(blobs: BlobStore): Promise<void> {
  const disks = await statesOf(blobs)
  if (disks instanceof BlobStoreError)
    throw new Problem(503, `store_${disks.code}`, 'The disk of the blob store does not answer.', {
      hint: 'Whoever runs Berth finds more in its log.',
      headers: { 'retry-after': String(retryAfterSeconds) },
      cause: disks,
    })
  const low = disks.find(isLow)
  if (!low) return
  throw new Problem(503, 'disk_below_reserve', `The disk of ${low.name} has less left than is kept free.`, {
    hint: 'Free space, or collect what nothing needs: POST /api/v1/store/gc.',
    headers: { 'retry-after': String(retryAfterSeconds) },
    more: { freeBytes: low.freeBytes, reserveBytes: low.reserveBytes },
  })
}

/** Shows in the metrics of a process how much is left of the disks, and how much of that is kept. */
export function measureDisks(blobs: BlobStore, { registry }: Pick<Metrics, 'registry'>): void {
  if (!blobs.disks || registry.getSingleMetric('berth_disk_free_bytes')) return
  const gauge = (name: string, help: string, valueOf: (disk: DiskState) => number) =>
    registry.registerMetric(
      new Gauge({
        name,
        help,
        labelNames: ['disk'],
        registers: [],
        async collect() {
          const disks = await statesOf(blobs)
          // Of a disk that does not answer nothing is known; the other metrics are there all the same.
          if (disks instanceof BlobStoreError) this.reset()
          else for (const disk of disks) this.set({ disk: disk.label }, valueOf(disk))
        },
      }),
    )
  gauge('berth_disk_free_bytes', 'What is left of a disk that Berth writes to.', ({ freeBytes }) => freeBytes)
  gauge(
    'berth_disk_reserve_bytes',
    'Below this nothing is pushed or synced any more, so that Berth goes on working.',
    ({ reserveBytes }) => reserveBytes,
  )
}
