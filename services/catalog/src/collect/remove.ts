import type { BlobStore } from '@berth/blobs'
import type { Database } from '@berth/service'
import type { Doomed } from './mark.ts'

/** What removing did. Bytes count when the object was there before and a second look finds it gone (docs/guarantees.md, G8). */
export type Removal = { removed: number; removedBytes: number; notFound: number; failures: Error[] }

const width = 8

/**
 * The second step of a removal: deletes the objects of marked rows, then the rows. Killed anywhere in between, the next run
 * does it again. A push that came after the mark has written under another generation, so this hits nothing of it: its row is no
 * longer of this generation.
 */
export async function removeMarked(db: Database, blobs: BlobStore, doomed: readonly Doomed[]): Promise<Removal> {
  const total: Removal = { removed: 0, removedBytes: 0, notFound: 0, failures: [] }
  const gone: Doomed[] = []
  const queue = [...doomed]
  const work = async () => {
    for (let one = queue.shift(); one; one = queue.shift()) {
      try {
        await removeObject(blobs, one, total)
        gone.push(one)
      } catch (cause) {
        // One that cannot be deleted now keeps no other from it; its row stays marked for the next run.
        total.failures.push(new Error(`cannot remove ${one.digest} of generation ${one.generation}`, { cause }))
      }
    }
  }
  await Promise.all(Array.from({ length: width }, work))
  await forgetMarked(db, gone)
  return total
}

/** Deletes one object and counts what really went. */
export async function removeObject(blobs: BlobStore, key: Doomed, total: Removal): Promise<void> {
  const before = await blobs.stat(key)
  if (!before) {
    if (key.written) total.notFound++
    return
  }
  await blobs.remove(key)
  if (await blobs.stat(key)) throw new Error('the store still has it')
  total.removed++
  total.removedBytes += before.sizeBytes
}

async function forgetMarked(db: Database, gone: readonly Doomed[]): Promise<void> {
  if (gone.length === 0) return
  const sorted = [...gone].sort((a, b) => (a.digest < b.digest ? -1 : 1))
  const digests = sorted.map((one) => one.digest)
  await db.transaction(async (sql) => {
    // As `lease_digests` does before it looks for the generation of a row: it never takes that of one deleted meanwhile.
    await sql.query('select pg_advisory_xact_lock(hashtextextended(gone, 0)) from unnest($1::text[]) as gone', [
      digests,
    ])
    await sql.query(
      `delete from blob using unnest($1::text[], $2::bigint[]) as gone (digest, generation)
     where blob.digest = gone.digest and blob.generation = gone.generation and blob.state = 'removing'`,
      [digests, sorted.map((one) => one.generation)],
    )
  })
}

const deadlineSeconds = 60
const batchRows = 200

/** Takes over marks whose collector has not come to its end within a minute: killed, most likely. */
export async function takeLeftMarks(db: Database): Promise<Doomed[]> {
  return db.query<Doomed>(
    `update blob
     set marked_at = now()
     where digest in (
       select digest
       from blob
       where state = 'removing'
         and (marked_at is null or marked_at < now() - make_interval(secs => $1))
       order by digest
       limit $2
       for update skip locked)
     returning digest, generation, size_bytes is not null as written`,
    [deadlineSeconds, batchRows],
  )
}
