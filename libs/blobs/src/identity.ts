import { type Sql, StartupError } from '@berth/service'
import { BlobStoreError } from './store/errors.ts'
import type { BlobStore } from './store/store.ts'

const note = 'berth-store.json'
const uuid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/

/** The part of a schema that keeps a copy of the identity, for `applyMigrations`. */
export const storeIdentityTable = new URL('./db/', import.meta.url)

/** Whose store it is: the uuid of an installation, `undefined` when none has taken it yet. */
export async function readStoreIdentity(blobs: BlobStore): Promise<string | undefined> {
  const text = await blobs.readNote(note)
  if (text === undefined) return undefined
  const { installation } = JSON.parse(text) as { installation?: unknown }
  if (typeof installation === 'string' && uuid.test(installation)) return installation
  throw new BlobStoreError(
    'damaged',
    `${note} of the blob store names no installation; restore it, or see the store's how-to`,
  )
}

/** Writes down whose store it is. */
export async function writeStoreIdentity(blobs: BlobStore, installation: string): Promise<void> {
  await blobs.writeNote(note, `${JSON.stringify({ installation })}\n`)
}

/** The refusal to start on a store that is not ours; `adopt` is what to say when it is after all. */
export function foreignStore(why: string, adopt: string): StartupError {
  return new StartupError(
    `the blob store is not of this installation: ${why}; each would delete what the other needs`,
    `name an empty store (BERTH_BLOBS_DIR, or BERTH_S3_BUCKET); or, if nothing else uses this one, start once with BERTH_STORE_ADOPT=${adopt}`,
  )
}

/** The refusal to start on an empty store where the database, which has the identity `own`, knows of blobs. */
export function emptyStore(own: string): StartupError {
  return new StartupError(
    'the blob store is empty, and the database has content: it is another store, or one that is not mounted',
    `name the store that has it (BERTH_BLOBS_DIR, or BERTH_S3_ENDPOINT and BERTH_S3_BUCKET); or, if that is lost, start once with BERTH_STORE_ADOPT=${own}, and a scrub tells what is missing`,
  )
}

/** What a service tells of itself: what the operator allows, and an SQL query with a row if the service knows of blobs. */
type Own = { adopt: string | undefined; content: string }

/**
 * Compares a service's own copy of the identity, in its table `store_identity`, with the store; the first look makes the copy.
 * A store that catalog has not taken yet is looked at again later, unless the service has content: then it is not the one that had
 * it. Throws `StartupError` when they differ, unless `adopt` names the store.
 */
export async function checkStoreIdentity(sql: Sql, blobs: BlobStore, { adopt, content }: Own): Promise<void> {
  const stored = await readStoreIdentity(blobs)
  const allowed = adopt?.toLowerCase() ?? null
  if (stored === undefined) {
    const [copy] = await sql.query<{ id: string }>(`select id from store_identity where exists (${content})`)
    if (copy && copy.id !== allowed) throw emptyStore(copy.id)
    return
  }
  const [copy] = await sql.query<{ id: string }>(
    `insert into store_identity (id)
     values ($1)
     on conflict (is_only) do update set id = case when $1 = $2 then $1 else store_identity.id end
     returning id`,
    [stored, allowed],
  )
  if (copy?.id !== stored) throw foreignStore(`it belongs to ${stored}, and this database to ${copy?.id}`, stored)
}
