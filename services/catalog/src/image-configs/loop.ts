import type { BlobStore } from '@berth/blobs'
import { type Loop, startLoop } from '@berth/bus'
import type { Database, Logger } from '@berth/service'
import { readConfigs } from './read-configs.ts'

const pollMs = 5_000
const pauseAfterFailureMs = 30_000

/** Looks into configurations after the pushes and syncs that brought them, which so do not wait for it. */
export function startConfigReader({ db, blobs, log }: { db: Database; blobs: BlobStore; log: Logger }): Loop {
  return startLoop({
    pollMs,
    pauseAfterFailureMs,
    onError: (error) => log.warn('configurations will be read again', { error }),
    run: (signal) => readConfigs(db, blobs, signal),
  })
}
