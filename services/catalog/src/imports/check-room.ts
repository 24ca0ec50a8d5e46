import type { Digest } from '@berth/oci'
import { type Database, Problem } from '@berth/service'
import type { Contents } from '../archives/brought.ts'
import { carriedBatches, createSeen } from './carried.ts'
import { makeRoom } from './import-fault.ts'

/**
 * Refuses an import for which the disk of the store has no room. What is stored needs none, what an attempt before this one has stored
 * too. How much is left, and what others have stored, is not told.
 */
export async function refuseWithoutRoom(
  db: Database,
  { archive, repositories }: Contents,
  freeBytes: number | null,
  signal: AbortSignal,
): Promise<void> {
  if (freeBytes === null || archive.blobs.bytes <= freeBytes) return
  const isFirst = createSeen(archive)
  let wantedBytes = 0
  for (const brought of repositories)
    for await (const batch of carriedBatches(brought, signal)) {
      const sizes = [...batch].filter(([digest]) => isFirst(digest))
      const stored = await storedOf(
        db,
        sizes.map(([digest]) => digest),
      )
      for (const [digest, size] of sizes) if (!stored.has(digest)) wantedBytes += size
    }
  if (wantedBytes <= freeBytes) return
  throw new Problem(409, 'no_room', 'The disk of the blob store has no room for what the archive brings.', {
    hint: makeRoom,
  })
}

async function storedOf(db: Database, digests: readonly Digest[]): Promise<Set<Digest>> {
  const rows = await db.query<{ digest: Digest }>(
    `select digest
     from blob
     where digest = any($1::text[])
       and state = 'present'`,
    [digests],
  )
  return new Set(rows.map(({ digest }) => digest))
}
