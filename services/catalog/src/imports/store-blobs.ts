import { type BlobStore, DigestMismatch, refuseBelowReserve, SizeMismatch } from '@berth/blobs'
import type { LeasedBlob, StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { type Archive, notItsDigest, verifyBlob } from '../archives/archive.ts'
import { leaseBlobs, recordBlobs } from '../leases/leases.ts'
import { holderOf, leaseSeconds } from './import-row.ts'

export type StoreDeps = { db: Database; blobs: BlobStore; importId: string; archive: Archive }
/** What was done so far, for people to see. */
export type Tally = { verified: number; verifiedBytes: number; stored: number; storedBytes: number; known: number }
type Wanted = { digest: Digest; size: number }

const atOnce = 4
// Small blobs are noted together: a row for each would take as long as the blob.
const notedTogether = 32
const notedBytes = 8 << 20

/**
 * Has the blobs of a batch in the store, leased by the import, each of them read out of the archive once and found right: naming a
 * digest gives nobody a right to its bytes. What an earlier attempt has noted is not read again. Throws `BadArchive` with the place.
 */
export async function storeBlobs(
  deps: StoreDeps,
  wanted: readonly Wanted[],
  { tally, signal }: { tally: Tally; signal: AbortSignal },
): Promise<Map<Digest, StoredBlob>> {
  await refuseBelowReserve(deps.blobs)
  const digests = wanted.map(({ digest }) => digest)
  const [leases, verified] = await Promise.all([
    leaseBlobs(deps.db, { holder: holderOf(deps.importId), digests, ttlSeconds: leaseSeconds }),
    verifiedOf(deps.db, deps.importId, digests),
  ])
  const leaseOf = new Map(leases.map((lease) => [lease.digest, lease]))
  const stored = new Map<Digest, StoredBlob>()
  let noted: { digest: Digest; blob: StoredBlob | undefined }[] = []
  let bytes = 0
  const flush = async () => {
    const some = noted
    noted = []
    bytes = 0
    await noteVerified(deps, some)
  }
  const queue = wanted[Symbol.iterator]()
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const work = async () => {
    for (const { digest, size } of queue) {
      if (either.aborted) return
      const lease = leaseOf.get(digest)
      if (!lease) throw new Error(`there was no lease of ${digest}`)
      const blob = { digest, generation: lease.generation, sizeBytes: size }
      stored.set(digest, blob)
      if (lease.state === 'present' && verified.has(digest)) {
        tally.known++
        continue
      }
      const written = await readOnce(deps, blob, lease, { tally, signal: either })
      noted.push({ digest, blob: written })
      bytes += size
      if (noted.length >= notedTogether || bytes >= notedBytes) await flush()
    }
  }
  let failure: { error: unknown } | undefined
  const stopAll = (error: unknown) => {
    failure ??= { error }
    failed.abort()
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, wanted.length) }, () => work().catch(stopAll)))
  // Also what was done before one failed: it need not be read again.
  await flush()
  signal.throwIfAborted()
  if (failure) throw failure.error
  return stored
}

/** Reads a blob to its end, into the store where it is not there. Answers what was stored. */
async function readOnce(
  { archive, blobs }: StoreDeps,
  blob: StoredBlob,
  { state }: LeasedBlob,
  { tally, signal }: { tally: Tally; signal: AbortSignal },
): Promise<StoredBlob | undefined> {
  const { digest, generation, sizeBytes } = blob
  const count = (length: number) => {
    tally.verifiedBytes += length
  }
  if (state === 'present') {
    await verifyBlob(archive, digest, { signal, onBytes: count })
    tally.verified++
    return undefined
  }
  try {
    await blobs.write({ digest, generation }, counted(archive.streamBlob(digest, signal), count), {
      signal,
      expectedBytes: sizeBytes,
    })
  } catch (error) {
    if (error instanceof DigestMismatch || error instanceof SizeMismatch) throw notItsDigest(archive, digest)
    throw error
  }
  tally.verified++
  tally.stored++
  tally.storedBytes += sizeBytes
  return blob
}

async function* counted(chunks: AsyncIterable<Buffer>, count: (length: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    yield chunk
    count(chunk.length)
  }
}

/** Which of these an earlier attempt has read and found right. */
export async function verifiedOf(db: Database, importId: string, digests: readonly Digest[]): Promise<Set<Digest>> {
  const rows = await db.query<{ digest: Digest }>(
    'select digest from import_verified where import_id = $1 and digest = any($2::text[])',
    [importId, digests],
  )
  return new Set(rows.map(({ digest }) => digest))
}

/** Notes what was read and found right, and what of it is durable in the store now. */
export async function noteVerified(
  { db, importId }: Pick<StoreDeps, 'db' | 'importId'>,
  noted: readonly { digest: Digest; blob: StoredBlob | undefined }[],
): Promise<void> {
  if (noted.length === 0) return
  await db.transaction(async (sql) => {
    await recordBlobs(
      sql,
      noted.flatMap(({ blob }) => blob ?? []),
    )
    await sql.query(
      `insert into import_verified (import_id, digest)
       select $1, unnest($2::text[])
       on conflict (import_id, digest) do update set times = import_verified.times + 1`,
      [importId, noted.map(({ digest }) => digest)],
    )
  })
}
