import type { BlobStore } from '@berth/blobs'
import type { Database } from '@berth/service'
import { expireSessions } from './sessions.ts'

// Long after the last byte: an upload that is alive has a session, and is kept whatever its age.
const leftoverHours = 24
const sessionIdCharacters = 36

/**
 * Removes what uploads left behind: the bytes of sessions that were not touched for a day, and staged bytes that no session
 * knows, as a kill in the middle of a request leaves them (docs/guarantees.md, U8). The latter may be those of another installation
 * that uses the store as well, so `mayDelete` says whether this one is alone. Answers how many leftovers went.
 */
export async function sweepUploads(
  db: Database,
  blobs: BlobStore,
  mayDelete: () => Promise<boolean>,
  now = Date.now(),
): Promise<number> {
  await blobs.discardParts(await expireSessions(db))
  if (!(await mayDelete())) return 0
  let swept = 0
  for await (const leftover of blobs.walkStaged({ olderThan: new Date(now - leftoverHours * 3_600_000) })) {
    const session = leftover.partId?.slice(0, sessionIdCharacters)
    const [known] =
      session === undefined ? [] : await db.query('select from upload_session where id::text = $1', [session])
    if (!known && (await leftover.discard())) swept++
  }
  return swept
}
