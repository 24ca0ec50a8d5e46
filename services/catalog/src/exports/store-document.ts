import { randomUUID } from 'node:crypto'
import { type BlobStore, PartInterrupted } from '@berth/blobs'
import { asDigest, type Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { leaseBlobs, recordBlobs } from '../leases/leases.ts'
import { holderOf } from './export-row.ts'
import { leaseSeconds } from './gather.ts'

export type StoredDocument = { name: string; digest: Digest; generation: number; sizeBytes: number }

/** Stores what an archive has beside its content as a blob, of any length, under a lease of the export; and notes it as its member. */
export async function storeDocument(
  { db, blobs }: { db: Database; blobs: BlobStore },
  exportId: string,
  name: string,
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<StoredDocument> {
  const id = `export-${randomUUID()}`
  try {
    const part = await blobs.writePart(id, 0, source, { signal })
    const digest = asDigest(`sha256:${part.sha256}`)
    const lease = { holder: holderOf(exportId), digests: [digest], ttlSeconds: leaseSeconds }
    const [leased] = await leaseBlobs(db, lease)
    if (!leased) throw new Error(`${digest} was leased, and there is no answer`)
    const { generation, state } = leased
    await blobs.publish([part], { digest, generation }, { signal, isThere: state === 'present' })
    const document = { name, digest, generation, sizeBytes: part.sizeBytes }
    await db.transaction(async (sql) => {
      await recordBlobs(sql, [document])
      await sql.query(
        `insert into export_member (export_id, name, digest, generation, size_bytes)
         values ($1, $2, $3, $4, $5)
         on conflict (export_id, name) do update
         set digest = excluded.digest, generation = excluded.generation, size_bytes = excluded.size_bytes`,
        [exportId, name, digest, generation, part.sizeBytes],
      )
    })
    return document
  } catch (error) {
    // What its source failed for is what counts.
    throw error instanceof PartInterrupted ? error.cause : error
  } finally {
    await blobs.discardParts([id]).catch(() => 'it goes with other leftovers')
  }
}
