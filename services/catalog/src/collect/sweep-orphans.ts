import type { BlobKey, BlobStat, BlobStore } from '@berth/blobs'
import type { Database, Sql } from '@berth/service'
import type { Doomed } from './mark.ts'
import { type Removal, removeMarked, removeObject } from './remove.ts'

type Listed = BlobKey & BlobStat
export type OrphanHooks = { signal: AbortSignal; onRemoved: (removal: Removal) => void }

const batchObjects = 200

/**
 * Lists the store and removes what no row names: objects of generations that do not count, and such as a crash left before their row
 * was durable. They stay for `keptSeconds` after they were written: writers tell of bytes when these are there, and an operator who
 * restores a database finds its bytes.
 */
export async function sweepOrphans(
  db: Database,
  blobs: BlobStore,
  keptSeconds: number,
  hooks: OrphanHooks,
): Promise<void> {
  const [clock] = await db.query<{ before: Date }>('select now() - make_interval(secs => $1) as before', [keptSeconds])
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

// A number that was never handed out belongs to a later life of the database than this one, which was restored: it may still be
// handed out, so its object is no orphan yet.
const wasHandedOut = 'object.generation <= (select last_value from blob_generation)'
const listed = 'unnest($1::text[], $2::bigint[]) as object (digest, generation)'

async function sweepBatch(db: Database, blobs: BlobStore, batch: readonly Listed[], hooks: OrphanHooks): Promise<void> {
  if (batch.length === 0) return
  const objects = [batch.map((one) => one.digest), batch.map((one) => one.generation)]
  const [named] = await db.query(
    `select
     from ${listed}
     join blob on blob.digest = object.digest and blob.generation <> object.generation
     where ${wasHandedOut}
     limit 1`,
    objects,
  )
  if (named) hooks.onRemoved(await db.transaction((sql) => removeReplaced(sql, blobs, objects)))
  // Given a row, it is removed like all others: a push of it meanwhile has another generation.
  const unknown = await db.query<Doomed>(
    `insert into blob (digest, generation, state, size_bytes, marked_at)
     select object.digest, max(object.generation), 'removing', 0, now()
     from ${listed}
     where ${wasHandedOut}
       and not exists (select from blob where blob.digest = object.digest)
     group by object.digest
     order by object.digest
     on conflict (digest) do nothing
     returning digest, generation, true as written`,
    objects,
  )
  hooks.onRemoved(await removeMarked(db, blobs, unknown))
}

/**
 * Removes objects whose digest has another generation, with its row held: after a restore a number may be handed out again, and who
 * was given it for this digest must find its row as it was when its object was looked at.
 */
async function removeReplaced(sql: Sql, blobs: BlobStore, objects: readonly unknown[]): Promise<Removal> {
  await sql.query(
    `select
     from blob
     where digest = any($1::text[])
     order by digest
     for no key update`,
    [objects[0]],
  )
  const replaced = await sql.query<Doomed>(
    `select object.digest, object.generation, true as written
     from ${listed}
     join blob on blob.digest = object.digest and blob.generation <> object.generation
     where ${wasHandedOut}`,
    objects,
  )
  const removal: Removal = { removed: 0, removedBytes: 0, notFound: 0, failures: [] }
  for (const one of replaced)
    await removeObject(blobs, one, removal).catch((cause: unknown) => {
      removal.failures.push(new Error(`cannot remove ${one.digest} of generation ${one.generation}`, { cause }))
    })
  return removal
}
