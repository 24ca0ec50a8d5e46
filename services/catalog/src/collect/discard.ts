import type { BlobStore } from '@berth/blobs'
import type { Digest } from '@berth/oci'
import type { Database, Logger } from '@berth/service'
import type { LoneCleaner } from '../cleaner/lone-cleaner.ts'
import { markBatch } from './mark.ts'
import { removeMarked } from './remove.ts'
import { tombstoneTables } from './tombstones.ts'

export type Discarding = { db: Database; blobs: BlobStore; cleaner: LoneCleaner; log: Logger }

const batchRows = 200

/**
 * Ends all leases of a holder, and removes at once what it alone wanted: what was never part of a repository, so that no reader can be in the
 * middle of it and no follower has to hear of it. All else, and what cannot be removed now, is left to the collector.
 */
export async function discardLeased({ db, blobs, cleaner, log }: Discarding, holder: string): Promise<void> {
  const leased = await db.query<{ digest: Digest }>('delete from lease where holder = $1 returning digest', [holder])
  if (leased.length === 0 || !(await cleaner.isAlone())) return
  for (let at = 0; at < leased.length; at += batchRows) {
    const digests = leased.slice(at, at + batchRows).map((row) => row.digest)
    const doomed = await markBatch(db, 0, await neverHad(db, digests))
    const { failures } = await removeMarked(db, blobs, doomed)
    for (const error of failures) log.warn('bytes that nobody wants are removed later', { error })
  }
}

const hasRow = [...tombstoneTables.map(({ table }) => table), 'lease']
  .map((table) => `exists (select from ${table} where ${table}.digest = blob.digest)`)
  .join(' or ')

/** Makes candidates of what no repository has had since anybody remembers. */
async function neverHad(db: Database, digests: readonly Digest[]): Promise<Digest[]> {
  const rows = await db.query<{ digest: Digest }>(
    `update blob
     set candidate_since = now()
     where digest in (
       select digest
       from blob
       where digest = any($1::text[])
         and state = 'present'
         and not (${hasRow})
       order by digest
       for no key update skip locked)
     returning digest`,
    [digests],
  )
  return rows.map((row) => row.digest)
}
