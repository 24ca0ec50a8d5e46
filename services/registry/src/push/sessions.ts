import { randomUUID } from 'node:crypto'
import type { StagedPart } from '@berth/blobs'
import { type Digest, OciError } from '@berth/oci'
import type { Database } from '@berth/service'

/** A resumable upload. It belongs to one repository and one subject: for anybody else it does not exist. */
export type UploadSession = { id: string; offsetBytes: number; state: 'open' | 'committed'; digest: Digest | null }
export type SessionOwner = { repository: string; subject: string }
/** The right of one request to write to a session; a later claim ends it. */
export type Claim = { id: string; fence: number; offsetBytes: number }

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const owned = 'id = $1 and repository = $2 and subject = $3'

export function unknownUpload(): OciError {
  return new OciError('BLOB_UPLOAD_UNKNOWN', 'there is no such upload session here; begin a new one')
}

/** Opens a session. Nothing is written to the blob store before bytes come. */
export async function openSession(db: Database, owner: SessionOwner): Promise<UploadSession> {
  const id = randomUUID()
  await db.prepared('open-session', 'insert into upload_session (id, repository, subject) values ($1, $2, $3)', [
    id,
    owner.repository,
    owner.subject,
  ])
  return { id, offsetBytes: 0, state: 'open', digest: null }
}

/** Reads a session of this owner. Throws BLOB_UPLOAD_UNKNOWN. */
export async function readSession(db: Database, id: string, owner: SessionOwner): Promise<UploadSession> {
  if (!uuid.test(id)) throw unknownUpload()
  const [row] = await db.prepared<UploadSession>(
    'read-session',
    `select id, offset_bytes as "offsetBytes", state, digest from upload_session where ${owned}`,
    [id, owner.repository, owner.subject],
  )
  if (!row) throw unknownUpload()
  return row
}

/** Takes the session for a request that writes. What an earlier request still writes will not count any more. */
export async function claimSession(db: Database, id: string, owner: SessionOwner): Promise<Claim> {
  if (!uuid.test(id)) throw unknownUpload()
  const [row] = await db.prepared<Claim>(
    'claim-session',
    `update upload_session set fence = fence + 1, touched_at = now() where ${owned} and state = 'open' returning id, fence, offset_bytes as "offsetBytes"`,
    [id, owner.repository, owner.subject],
  )
  if (!row) throw unknownUpload()
  return row
}

/** Adds a part to the session, if the claim is still the latest. Answers whether it was. */
export async function recordPart(db: Database, claim: Claim, part: StagedPart): Promise<boolean> {
  const rows = await db.prepared(
    'record-part',
    `with claimed as (
       update upload_session set offset_bytes = offset_bytes + $3, touched_at = now()
       where id = $1 and fence = $2 and state = 'open' and offset_bytes = $4 returning id)
     insert into upload_part (session, start_offset, part) select id, $4, $5 from claimed
     on conflict (session, start_offset) do update set part = excluded.part returning session`,
    [claim.id, claim.fence, part.sizeBytes, part.startOffset, JSON.stringify(part)],
  )
  return rows.length > 0
}

/** The parts of a session, in order. Empty ones are left out: they add nothing. */
export async function readParts(db: Database, id: string): Promise<StagedPart[]> {
  const rows = await db.prepared<{ part: StagedPart }>(
    'read-parts',
    'select part from upload_part where session = $1 order by start_offset',
    [id],
  )
  return rows.map((row) => row.part).filter((part) => part.sizeBytes > 0)
}

/** Notes which blob the session became. The row stays a while, so that a repeated PUT gets its 201 again. */
export async function commitSession(db: Database, id: string, digest: Digest): Promise<void> {
  await db.prepared(
    'commit-session',
    `with parts as (delete from upload_part where session = $1)
     update upload_session set state = 'committed', digest = $2, touched_at = now() where id = $1`,
    [id, digest],
  )
}

/** Ends a session. Answers the ids of parts whose bytes can go. */
export async function dropSession(db: Database, id: string): Promise<string[]> {
  const parts = await readParts(db, id)
  await db.query('delete from upload_session where id = $1', [id])
  return parts.map((part) => part.id)
}

const openHours = 24
const committedHours = 1

/** Ends sessions that nobody touched for a day, and forgets committed ones. Answers the parts whose bytes can go. */
export async function expireSessions(db: Database): Promise<string[]> {
  const rows = await db.query<{ part: StagedPart }>(
    `select part from upload_part join upload_session on id = session where state = 'open' and touched_at < now() - make_interval(hours => $1)`,
    [openHours],
  )
  await db.query(
    `delete from upload_session where touched_at < now() - make_interval(hours => case state when 'open' then $1::integer else $2::integer end)`,
    [openHours, committedHours],
  )
  return rows.map((row) => row.part.id)
}
