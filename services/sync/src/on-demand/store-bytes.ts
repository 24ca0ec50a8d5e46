import { randomUUID } from 'node:crypto'
import type { BlobStat, BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Logger } from '@berth/service'
import type { Spool } from './spool.ts'

/** Stores what is fetched while it comes. */
export type Storing = {
  isPresent: boolean
  generation: number
  /** Stores what comes into this spool; the one before is forgotten. */
  follow(spool: Spool): void
  /** Waits until the bytes are durable and tells catalog. A failure is only logged: readers get their bytes all the same. */
  finish(): Promise<void>
  /** Gives the lease back. */
  release(): Promise<void>
}

// Longer than any fetch; given back at its end, and a fetch that is killed leaves no more than a digest that stays a day longer.
const leaseSeconds = 86_400

/** Leases a blob to store it; `isPresent` when it came meanwhile by another door. */
export async function storeBytes(
  { catalog, blobs, log }: { catalog: CommandClient<CatalogCommands>; blobs: BlobStore; log: Logger },
  { digest, sizeBytes }: { digest: Digest; sizeBytes: number },
  signal: AbortSignal,
): Promise<Storing> {
  // Its own: of two replicas that are asked for the same blob, the one that does not fetch it gives its lease back at once.
  const holder = `on-demand:${randomUUID()}`
  const request = { holder, digests: [digest], ttlSeconds: leaseSeconds }
  const { blobs: leases } = await catalog.call('lease-blobs', request, { signal })
  const { state, generation } = leases[0] ?? { state: 'write', generation: 1 }
  let storing: Promise<BlobStat> | undefined

  return {
    isPresent: state === 'present',
    generation,
    follow: (spool) => {
      // The store verifies what it gets, so it need not wait for the end.
      const source = spool.read({ start: 0, end: sizeBytes - 1 }, { signal, trusting: true })
      storing = blobs.write({ digest, generation }, source, { signal, expectedBytes: sizeBytes })
      storing.catch(() => {})
    },
    finish: async () => {
      try {
        const stat = await storing
        if (stat)
          await catalog.call('record-blobs', { holder, blobs: [{ digest, generation, sizeBytes: stat.sizeBytes }] })
      } catch (error) {
        log.error('a blob that was fetched cannot be stored; it will be fetched again', { digest, error })
      }
    },
    release: async () => {
      try {
        await catalog.call('release-leases', { holder })
      } catch (error) {
        log.warn('a lease is left to run out', { holder, error })
      }
    },
  }
}
