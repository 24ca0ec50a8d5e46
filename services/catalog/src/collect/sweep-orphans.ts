import type { BlobKey, BlobStat, BlobStore } from '@berth/blobs'
import type { Database } from '@berth/service'
import type { Doomed } from './mark.ts'
import { type Removal, removeMarked, removeObject } from './remove.ts'

type Listed = BlobKey & BlobStat
export type OrphanHooks = { signal: AbortSignal; onRemoved: (removal: Removal) => void }

const batchObjects = 200

/**
 * Lists the store and removes what no row knows: objects of generations that were replaced, and such as a crash left before
 * their row was durable. Young ones stay for the grace time, so that an operator who restores a database finds its bytes.
 */
export async function sweepOrphans(
  db: Database,
  blobs: BlobStore,
  graceSeconds: number,
  hooks: OrphanHooks,
): Promise<void> {
  const [clock] = await db.query<{ before: Date }>('select now() - make_interval(secs => $1) as before', [graceSeconds])
  const before = clock?.before ?? new Date(0)
  let batch: Listed[] = []
  for await (const object of blobs.walk({ signal: hooks.signal })) {
    if (object.modifiedAt > before) continue
    batch.push(object)
    if (batch.length < batchObjects) continue
    await sweepBatch(db, blobs, batch, hooks)
    batch = []
  }
  await sweepBatch(db, blobs, batch, hooks)
}

async function sweepBatch(db: Database, blobs: BlobStore, batch: readonly Listed[], hooks: OrphanHooks): Promise<void> {
  if (batch.length === 0) return
  const objects = [batch.map((one) => one.digest), batch.map((one) => one.generation)]
  // A generation that was never given out belongs to a later life of the database than this one, which was restored: it may
  // still be given out, so its object is no orphan yet.
  const replaced = await db.query<Doomed>(
    `select object.digest, object.generation, true as written from unnest($1::text[], $2::integer[]) as object (digest, generation)
     join blob on blob.digest = object.digest and blob.generation > object.generation`,
    objects,
  )
  const removal: Removal = { removed: 0, removedBytes: 0, notFound: 0, failures: [] }
  for (const one of replaced)
    await removeObject(blobs, one, removal).catch((cause: unknown) => {
      removal.failures.push(new Error(`cannot remove ${one.digest} of generation ${one.generation}`, { cause }))
    })
  hooks.onRemoved(removal)
  // Given a row, it is removed like all others: a push of it meanwhile gets the next generation.
  const unknown = await db.query<Doomed>(
    `insert into blob (digest, generation, state, size_bytes, marked_at)
     select object.digest, max(object.generation), 'removing', 0, now()
     from unnest($1::text[], $2::integer[]) as object (digest, generation)
     where object.generation <= (select last_value from blob_generation)
       and not exists (select from blob where blob.digest = object.digest)
     group by object.digest
     order by object.digest
     on conflict (digest) do nothing
     returning digest, generation, true as written`,
    objects,
  )
  hooks.onRemoved(await removeMarked(db, blobs, unknown))
}
