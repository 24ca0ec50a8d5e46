import { randomUUID } from 'node:crypto'
import { type BlobStore, PartInterrupted, type StagedPart } from '@berth/blobs'
import type { StoredBlob } from '@berth/commands'
import { asDigest } from '@berth/oci'
import { type Database, Problem } from '@berth/service'
import { leaseBlobs, recordBlobs, releaseLeases } from '../leases/leases.ts'
import { holderOf, leaseSeconds, readImport } from './import-row.ts'

/** Stands for the part that Berth has unpacked; parts that were sent are numbered from 0 on. */
export const unpackedPart = -1

// Where the part `$2` of the import `$1` ends.
const endOfPart = `(
  select start_offset + size_bytes
  from import_piece
  where import_id = $1
    and part = $2
  order by start_offset desc
  limit 1)`

export type PieceDeps = { db: Database; blobs: BlobStore }
/** Where a piece of an archive stands: in which part, and where in it. */
export type PiecePlace = { importId: string; part: number; startOffset: number }

/**
 * Stores bytes of an archive as a blob that the import leases, and notes them behind what is there. What came before a source broke off
 * is kept, and then its error is thrown. Throws 409 where somebody else was faster. Answers where the part ends now.
 */
export async function storePiece(
  { db, blobs }: PieceDeps,
  place: PiecePlace,
  source: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<number> {
  const id = randomUUID()
  try {
    let broken: PartInterrupted | undefined
    let staged: StagedPart
    try {
      staged = await blobs.writePart(id, 0, source, { signal })
    } catch (error) {
      if (!(error instanceof PartInterrupted)) throw error
      broken = error
      staged = error.part
    }
    if (staged.sizeBytes > 0) await notePiece(db, place, await publish({ db, blobs }, place.importId, staged))
    if (broken) throw broken.cause ?? broken
    return place.startOffset + staged.sizeBytes
  } finally {
    await blobs.discardParts([id])
  }
}

async function publish({ db, blobs }: PieceDeps, importId: string, staged: StagedPart): Promise<StoredBlob> {
  const digest = asDigest(`sha256:${staged.sha256}`)
  const [lease] = await leaseBlobs(db, { holder: holderOf(importId), digests: [digest], ttlSeconds: leaseSeconds })
  if (!lease) throw new Error(`there was no lease of ${digest}`)
  const stored = { digest, generation: lease.generation, sizeBytes: staged.sizeBytes }
  if (lease.state === 'present') return stored
  await blobs.publish([staged], stored)
  await db.transaction((sql) => recordBlobs(sql, [stored]))
  return stored
}

async function notePiece(
  db: Database,
  { importId, part, startOffset }: PiecePlace,
  { digest, generation, sizeBytes }: StoredBlob,
): Promise<void> {
  // The row of the import is held, so that of two pieces for one place one is refused.
  const noted = await db.transaction(async (sql) => {
    await sql.query(
      `select
       from import_job
       where id = $1
       for update`,
      [importId],
    )
    return sql.query(
      `insert into import_piece (import_id, part, start_offset, size_bytes, digest, generation)
       select $1, $2, $3, $4, $5, $6
       from import_job
       where id = $1
         and (state <> 'running' or $2 = ${unpackedPart})
         and $3 = coalesce(${endOfPart}, 0)
       returning part`,
      [importId, part, startOffset, sizeBytes, digest, generation],
    )
  })
  if (noted.length > 0) return
  // One that was deleted meanwhile has let go of all that it had, and this came behind that.
  if (!(await readImport(db, importId))) await releaseLeases(db, holderOf(importId))
  throw new Problem(409, 'upload_taken_over', 'Another request has added to this part, or the import has begun.', {
    hint: 'Ask how far the part is (GET it), and go on from there.',
  })
}

export type Piece = { part: number; startOffset: number; sizeBytes: number } & StoredBlob

/** The pieces of an import in their order. */
export async function readPieces(db: Database, importId: string): Promise<Piece[]> {
  return db.query<Piece>(
    `select part, start_offset as "startOffset", size_bytes as "sizeBytes", digest, generation
     from import_piece
     where import_id = $1
     order by part, start_offset`,
    [importId],
  )
}

/** How many bytes there are of each part that was sent. */
export async function sentParts(db: Database, importId: string): Promise<{ number: number; bytes: number }[]> {
  return db.query(
    `select part as number, sum(size_bytes)::bigint as bytes
     from import_piece
     where import_id = $1
       and part <> ${unpackedPart}
     group by part
     order by part`,
    [importId],
  )
}

/** How many bytes of a part there are. */
export async function partBytes(db: Database, importId: string, part: number): Promise<number> {
  const [row] = await db.query<{ bytes: number }>(`select coalesce(${endOfPart}, 0) as bytes`, [importId, part])
  return row?.bytes ?? 0
}

// Its pieces, and the leases of what nothing else of the import has.
const dropQuery = `
  with dropped as (
    delete from import_piece
    where import_id = $1
      and part = $2
    returning digest)
  delete from lease
  using dropped
  where lease.holder = $3
    and lease.digest = dropped.digest
    and not exists (
      select
      from import_piece as other
      where other.import_id = $1
        and other.part <> $2
        and other.digest = dropped.digest)
    and not exists (
      select
      from import_verified as verified
      where verified.import_id = $1
        and verified.digest = dropped.digest)`

/** Forgets a part, to send it again. */
export async function dropPart(db: Database, importId: string, part: number): Promise<void> {
  await db.query(dropQuery, [importId, part, holderOf(importId)])
}
