import { type BlobStore, emptyStore, foreignStore, readStoreIdentity, writeStoreIdentity } from '@berth/blobs'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'

const lookedUp = 100

/**
 * Makes sure that the blob store is this installation's, and makes it so where no installation has it: an empty store while the
 * database has no content either, or one without an identity in which the database finds its blobs. `adopt` is what the operator
 * allows besides. Throws `StartupError`
 * with the remedy.
 */
export async function claimStore(db: Database, blobs: BlobStore, adopt: string | undefined): Promise<void> {
  // Committed before the store is touched: killed in between, the next start finds an identity of its own and goes on.
  const own = await ownIdentity(db)
  const stored = await readStoreIdentity(blobs)
  if (stored === own) return
  const isAllowed = adopt?.toLowerCase() === (stored ?? own)
  if (stored === undefined) {
    if (!isAllowed) await refuseUnlessFree(db, blobs, own)
    await writeStoreIdentity(blobs, own)
    return
  }
  if (!isAllowed) throw foreignStore(`it belongs to ${stored}, and this database to ${own}`, stored)
  await db.query('update store_identity set id = $1', [stored])
}

async function ownIdentity(db: Database): Promise<string> {
  await db.query('insert into store_identity default values on conflict (is_only) do nothing')
  return storeIdentity(db)
}

/** The identity that the database and its blob store have in common. */
export async function storeIdentity(db: Database): Promise<string> {
  const [row] = await db.query<{ id: string }>('select id from store_identity')
  if (!row) throw new Error('this installation has no identity; it is made at the start')
  return row.id
}

/**
 * Refuses a store without an identity unless some blob of this database is in it (it was used before there were identities, or its
 * note was not put back), or neither the store nor the database has any.
 */
async function refuseUnlessFree(db: Database, blobs: BlobStore, own: string): Promise<void> {
  const keys = await db.query<{ digest: Digest; generation: number }>(
    `select digest, generation
     from blob
     where state = 'present'
     order by digest
     limit $1`,
    [lookedUp],
  )
  const found = await Promise.all(keys.map((key) => blobs.stat(key)))
  if (found.some((stat) => stat !== undefined)) return
  for await (const _ of blobs.walk()) throw foreignStore('it has blobs, of which this database knows none', own)
  if (keys.length > 0) throw emptyStore(own)
}
