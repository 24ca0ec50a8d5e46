import type { StagedPart } from '@berth/blobs'
import { recordEvents, registryEvents } from '@berth/bus'
import { type Digest, OciError } from '@berth/oci'
import type { Database } from '@berth/service'
import { isSessionId, openHours, type SessionIds, type SessionOwner } from './session-id.ts'
import type { YoungSessions } from './young-sessions.ts'

/** A resumable upload. `stored`: bytes came, so it has a row. */
export type UploadSession = {
  id: string
  stored: boolean
  offsetBytes: number
  state: 'open' | 'committed'
  digest: Digest | null
  /** What has come, in order. */
  parts: StagedPart[]
}
/** The right of one request to write to a session; a later claim ends it. */
export type Claim = { id: string; fence: number; offsetBytes: number }
/** Where sessions are kept, and how their ids are recognised. `young`: those that need no row yet, where there may be such. */
export type Sessions = { db: Database; ids: SessionIds; young?: YoungSessions | undefined }

type Row = Omit<UploadSession, 'stored' | 'state'> & { state: UploadSession['state'] | 'dropped' }
// Empty ones are left out: they add nothing.
const partsOf = `(
  select coalesce(jsonb_agg(part order by start_offset), '[]')
  from upload_part
  where session = upload_session.id
    and (part ->> 'sizeBytes')::bigint > 0)`
const owned = 'id = $1 and repository = $2 and subject = $3'
// An upload is no promise: what a crash of PostgreSQL takes back of it, its client begins anew.
const unflushed = `committing as (select set_config('synchronous_commit', 'off', true))`

function unknownUpload(): OciError {
  return new OciError('BLOB_UPLOAD_UNKNOWN', 'there is no such upload session here; begin a new one')
}

/** Reads a session of this owner; one that has no bytes yet is known by its id. Throws BLOB_UPLOAD_UNKNOWN. */
export async function readSession(
  { db, ids, young }: Sessions,
  id: string,
  owner: SessionOwner,
): Promise<UploadSession> {
  if (!isSessionId(id)) throw unknownUpload()
  const part = young?.find(id, owner)
  if (part) return { id, stored: true, offsetBytes: part.sizeBytes, state: 'open', digest: null, parts: [part] }
  const [row] = await db.prepared<Row>(
    'read-session',
    `select id, offset_bytes as "offsetBytes", state, digest, ${partsOf} as parts from upload_session where ${owned}`,
    [id, owner.repository, owner.subject],
  )
  if (row && row.state !== 'dropped') return { ...row, state: row.state, stored: true }
  if (row || !ids.isGenuine(id, owner)) throw unknownUpload()
  return { id, stored: false, offsetBytes: 0, state: 'open', digest: null, parts: [] }
}

/** Each is a row and a file for a day: far more than an account has open in earnest. */
const mostOpen = 10_000
const hasRoom = `$5 > (
  select count(*)
  from (
    select
    from upload_session
    where subject = $3 and state = 'open'
    limit $5) as open)`

function tooManyOpen(): OciError {
  return new OciError(
    'TOOMANYREQUESTS',
    `${mostOpen} of your uploads are open; end some, or wait until a day has passed`,
  )
}

/**
 * Takes the session for a request that writes. What an earlier request still writes will not count any more. Throws TOOMANYREQUESTS for the
 * first bytes of one more than an account may have open.
 */
export async function claimSession({ db, ids, young }: Sessions, id: string, owner: SessionOwner): Promise<Claim> {
  if (!isSessionId(id)) throw unknownUpload()
  await young?.settle(id)
  const [row] = await db.prepared<Claim>(
    'claim-session',
    `with ${unflushed}
     insert into upload_session as session (id, repository, subject, fence)
     select $1, $2, $3, 1
     from committing
     where exists (select from upload_session where ${owned})
       or ($4 and ${hasRoom})
     on conflict (id) do update set fence = session.fence + 1, touched_at = now()
     where session.repository = $2
       and session.subject = $3
       and session.state = 'open'
     returning id, fence, offset_bytes as "offsetBytes"`,
    [id, owner.repository, owner.subject, ids.isGenuine(id, owner), mostOpen],
  )
  if (row) return row
  const { state, stored } = await readSession({ db, ids }, id, owner)
  if (!stored) throw tooManyOpen()
  if (state === 'open') throw unknownUpload()
  throw new OciError('BLOB_UPLOAD_INVALID', 'this upload has ended already')
}

/** Begins a session that has no row yet with all that has come of it. False: it has one, or may not have it, which a claim tells. */
export async function beginWith(
  { db, ids, young }: Sessions,
  id: string,
  owner: SessionOwner,
  part: StagedPart,
): Promise<boolean> {
  if (!ids.isGenuine(id, owner)) return false
  if (young?.hold(id, owner, part)) return true
  // Another chunk may be kept.
  await young?.settle(id)
  return recordFirst(db, id, owner, part)
}

/** Gives a young session its row. Throws TOOMANYREQUESTS as a claim does. */
export async function recordYoung(db: Database, id: string, owner: SessionOwner, part: StagedPart): Promise<void> {
  if (await recordFirst(db, id, owner, part)) return
  // It was made already, where its answer was lost, or says by now what became of the session.
  const rows = await db.query(`select from upload_session where ${owned}`, [id, owner.repository, owner.subject])
  if (rows.length === 0) throw tooManyOpen()
}

async function recordFirst(db: Database, id: string, owner: SessionOwner, part: StagedPart): Promise<boolean> {
  const rows = await db.prepared(
    'begin-session',
    `with ${unflushed},
     begun as (
       insert into upload_session (id, repository, subject, fence, offset_bytes)
       select $1, $2, $3, 1, $4
       from committing
       where ${hasRoom}
       on conflict (id) do nothing
       returning id)
     insert into upload_part (session, start_offset, part)
     select id, 0, $6
     from begun
     returning session`,
    [id, owner.repository, owner.subject, part.sizeBytes, mostOpen, JSON.stringify(part)],
  )
  return rows.length > 0
}

/** Adds a part to the session, if the claim is still the latest. Answers whether it was. */
export async function recordPart(db: Database, claim: Claim, part: StagedPart): Promise<boolean> {
  const rows = await db.prepared(
    'record-part',
    `with ${unflushed},
     claimed as (
       update upload_session
       set offset_bytes = offset_bytes + $3, touched_at = now()
       from committing
       where id = $1
         and fence = $2
         and state = 'open'
         and offset_bytes = $4
       returning id)
     insert into upload_part (session, start_offset, part)
     select id, $4, $5
     from claimed
     on conflict (session, start_offset) do update set part = excluded.part
     returning session`,
    [claim.id, claim.fence, part.sizeBytes, part.startOffset, JSON.stringify(part)],
  )
  return rows.length > 0
}

/** The parts of a session, in order. Empty ones are left out: they add nothing. */
export async function readParts(db: Database, id: string): Promise<StagedPart[]> {
  const rows = await db.prepared<{ part: StagedPart }>(
    'read-parts',
    `select part
     from upload_part
     where session = $1
     order by start_offset`,
    [id],
  )
  return rows.map((row) => row.part).filter((part) => part.sizeBytes > 0)
}

/** Notes which blob the session became. The row stays a while, so that a repeated PUT gets its 201 again. */
export async function commitSession(
  { db, young }: Sessions,
  id: string,
  owner: SessionOwner,
  digest: Digest,
): Promise<void> {
  const commit = () =>
    db.prepared(
      'commit-session',
      `with ${unflushed},
       parts as (delete from upload_part where session = $1)
       insert into upload_session (id, repository, subject, state, digest)
       select $1, $2, $3, 'committed', $4
       from committing
       on conflict (id) do update set state = 'committed', digest = excluded.digest, touched_at = now()`,
      [id, owner.repository, owner.subject, digest],
    )
  await (young ? young.end(id, commit) : commit())
}

/** Ends a session for good. Answers the ids of parts whose bytes can go. */
export async function dropSession({ db, young }: Sessions, id: string, owner: SessionOwner): Promise<string[]> {
  const drop = async (kept: StagedPart | undefined) => {
    const parts = [...(kept ? [kept] : []), ...(await readParts(db, id))]
    await db.query(
      `with parts as (delete from upload_part where session = $1)
       insert into upload_session (id, repository, subject, state)
       values ($1, $2, $3, 'dropped')
       on conflict (id) do update set state = 'dropped', touched_at = now()`,
      [id, owner.repository, owner.subject],
    )
    return parts.map((part) => part.id)
  }
  return young ? young.end(id, drop) : drop(undefined)
}

const committedHours = 1

/** Ends sessions that were not touched for a day, and forgets those that ended. Answers the parts whose bytes can go. */
export async function expireSessions(db: Database): Promise<string[]> {
  return db.transaction(async (sql) => {
    const rows = await sql.query<{ session: string; repository: string; part: StagedPart | null }>(
      `select upload_session.id as session, repository, part
       from upload_session
       left join upload_part on upload_part.session = upload_session.id
       where state = 'open'
         and touched_at < now() - make_interval(hours => $1)
       for update of upload_session`,
      [openHours],
    )
    // A dropped one goes when its id is no longer good for anything either.
    await sql.query(
      `delete from upload_session
       where touched_at < now() - make_interval(hours => case state when 'committed' then $2::integer else $1::integer end)`,
      [openHours, committedHours],
    )
    const expired = new Map<string, { basePath: string; bytes: number }>()
    for (const { session, repository, part } of rows) {
      const bytes = (expired.get(session)?.bytes ?? 0) + (part?.sizeBytes ?? 0)
      expired.set(session, { basePath: repository, bytes })
    }
    const events = [...expired].map(([sessionId, data]) => ({
      kind: registryEvents.uploadExpired,
      data: { sessionId, ...data },
    }))
    await recordEvents(sql, events)
    return rows.flatMap(({ part }) => (part ? [part.id] : []))
  })
}
