import type { ByteRange, Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { headerBytes, memberBytes, memberHeader, mostUstarBytes, paddingBytes, tarEnd } from '../archives/tar.ts'
import type { StoredDocument } from './store-document.ts'

/** A member of an archive: where its header begins, and where its bytes are stored. */
export type Member = { name: string; digest: Digest; generation: number; sizeBytes: number; beginsAt: number }

/** What an archive is made of, in the order of its bytes: bytes of tar, and what has to be read. */
export type Piece = { bytes: Buffer } | { member: Member; range: ByteRange }

const pageRows = 500

/** `memberBytes` in SQL: a million members are placed by one statement. */
const bytesInTar = `case when length(name) > 100 or size_bytes > ${mostUstarBytes} then 1536 else 512 end + size_bytes
  + (512 - size_bytes % 512) % 512`

/** Gives all members of an export their places: the documents first, in their order, then blobs by name. Answers the size of the archive. */
export async function placeMembers(sql: Sql, exportId: string, documents: readonly StoredDocument[]): Promise<number> {
  let at = 0
  const places = documents.map(({ name, sizeBytes }) => {
    const beginsAt = at
    at += memberBytes(name, sizeBytes)
    return beginsAt
  })
  await sql.query(
    `update export_member
     set begins_at = place.begins_at
     from unnest($2::text[], $3::bigint[]) as place (name, begins_at)
     where export_id = $1
       and export_member.name = place.name`,
    [exportId, documents.map(({ name }) => name), places],
  )
  await sql.query(
    `update export_member
     set begins_at = place.begins_at
     from (
       select name, $2::bigint + (sum(${bytesInTar}) over (order by name) - (${bytesInTar}))::bigint as begins_at
       from export_member
       where export_id = $1
         and begins_at is null) as place
     where export_id = $1
       and export_member.name = place.name`,
    [exportId, at],
  )
  const [last] = await sql.query<Member>(`${memberColumns} where export_id = $1 order by begins_at desc limit 1`, [
    exportId,
  ])
  if (!last) throw new Error(`export ${exportId} has no members`)
  return last.beginsAt + memberBytes(last.name, last.sizeBytes) + tarEnd.length
}

const memberColumns = `select name, digest, generation, size_bytes as "sizeBytes", begins_at as "beginsAt" from export_member`

/** The members of an archive in their order, from the one on that has the byte at `offset`. */
export async function* membersFrom(sql: Sql, exportId: string, offset = 0): AsyncGenerator<Member> {
  const [first] = await sql.query<Member>(
    `${memberColumns} where export_id = $1 and begins_at <= $2 order by begins_at desc limit 1`,
    [exportId, offset],
  )
  if (!first) return
  yield first
  for (let after = first.beginsAt; ; ) {
    const rows = await sql.query<Member>(
      `${memberColumns} where export_id = $1 and begins_at > $2 order by begins_at limit ${pageRows}`,
      [exportId, after],
    )
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return
    after = last.beginsAt
  }
}

/** A range of an archive, both ends included. */
export async function* piecesOf(
  sql: Sql,
  exportId: string,
  archiveBytes: number,
  { start, end }: ByteRange,
): AsyncGenerator<Piece> {
  for await (const member of membersFrom(sql, exportId, start)) {
    const { name, sizeBytes, beginsAt } = member
    if (beginsAt > end) return
    const contentAt = beginsAt + headerBytes(name, sizeBytes)
    const head = cut(memberHeader(name, sizeBytes), beginsAt, start, end)
    if (head.length > 0) yield { bytes: head }
    const first = Math.max(start, contentAt)
    const last = Math.min(end, contentAt + sizeBytes - 1)
    if (first <= last) yield { member, range: { start: first - contentAt, end: last - contentAt } }
    const padding = cut(Buffer.alloc(paddingBytes(sizeBytes)), contentAt + sizeBytes, start, end)
    if (padding.length > 0) yield { bytes: padding }
  }
  const tail = cut(tarEnd, archiveBytes - tarEnd.length, start, end)
  if (tail.length > 0) yield { bytes: tail }
}

/** What of some bytes, which lie at a place, is within a range. */
function cut(bytes: Buffer, at: number, start: number, end: number): Buffer {
  return bytes.subarray(Math.max(0, start - at), Math.max(0, end + 1 - at))
}
