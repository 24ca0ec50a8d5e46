import { type BlobStore, checkStoreIdentity } from '@berth/blobs'
import type { Database } from '@berth/service'
import type { Running } from './host.ts'

const lookEveryMs = 600_000

/**
 * Goes on looking whether the blob store is still the one that this installation began with, and says so in the log when it is
 * not: another one may have been put in its place. `content` is an SQL query with a row if the service knows of blobs.
 */
export function watchStoreIdentity(running: Running, db: Database, blobs: BlobStore, content: string): void {
  running.loop('identity of the store', {
    everyMs: lookEveryMs,
    failure: 'the identity of the blob store cannot be seen',
    level: 'error',
    run: () => checkStoreIdentity(db, blobs, { adopt: undefined, content }),
  })
}
