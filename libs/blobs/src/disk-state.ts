import { Gauge, type Metrics, type Notes, Problem } from '@berth/service'
import type { BlobStore, DiskState } from './store.ts'

const isLow = ({ freeBytes, reserveBytes }: DiskState) => freeBytes < reserveBytes
const retryAfterSeconds = 30

/** What `/readyz` says of the disks: nothing while there is room. */
export async function reserveNotes(blobs: BlobStore): Promise<Notes> {
  const low = (await blobs.disks?.())?.some(isLow) ?? false
  return low ? { writes: 'disk below reserve' } : {}
}

/** Throws the 503 of what would only fill a disk further. */
export async function refuseBelowReserve(blobs: BlobStore): Promise<void> {
  const low = (await blobs.disks?.())?.find(isLow)
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
          for (const disk of (await blobs.disks?.()) ?? []) this.set({ disk: disk.label }, valueOf(disk))
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
