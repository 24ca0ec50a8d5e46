import { setTimeout as delay } from 'node:timers/promises'
import type { AccessObjectRow } from '@berth/commands'
import { type Database, Problem, type Sql } from '@berth/service'
import type { CopiedKind } from '../objects/object.ts'
import { forgetObject } from './on-event.ts'

/** A service that owns objects: of which kinds, and how it is asked for all of them. */
export type Owner = { kinds: readonly CopiedKind[]; rows: (signal: AbortSignal) => AsyncIterable<AccessObjectRow> }

const rowsAtOnce = 1_000

/**
 * Compares the copy of what a service owns with what it says, all of it. Events may come in meanwhile: what one of them told since
 * the question was asked is newer, and stays.
 */
export async function takeSnapshot(db: Database, { kinds, rows }: Owner, signal: AbortSignal): Promise<void> {
  const [begun] = await db.query<{ at: string }>('select clock_timestamp()::text as at')
  const askedAt = begun?.at ?? ''
  const told = new Set<string>()
  let batch: AccessObjectRow[] = []
  const write = async () => {
    await writeBatch(db, batch, askedAt)
    for (const { id } of batch) told.add(id)
    batch = []
  }
  for await (const row of rows(signal)) {
    batch.push(row)
    if (batch.length === rowsAtOnce) await write()
  }
  await write()
  const known = await db.query<{ id: string }>(
    'select id from object where kind = any($1::text[]) and told_at < $2::timestamptz',
    [kinds, askedAt],
  )
  for (const { id } of known) if (!told.has(id)) await db.transaction((sql) => forgetObject(sql, id))
}

const writing = `
  insert into object (id, kind, name, repository_id, via_id, owner_id, told_at)
  select id, kind, name, "repositoryId", "viaId", "ownerId", $2::timestamptz
  from jsonb_to_recordset($1::jsonb)
    as told (id uuid, kind text, name text, "repositoryId" uuid, "viaId" uuid, "ownerId" uuid)
  on conflict (id) do update set
    name = excluded.name,
    repository_id = excluded.repository_id,
    via_id = excluded.via_id,
    owner_id = excluded.owner_id,
    told_at = excluded.told_at
  where object.told_at < excluded.told_at
    and (object.name, object.repository_id, object.via_id, object.owner_id)
      is distinct from (excluded.name, excluded.repository_id, excluded.via_id, excluded.owner_id)`

async function writeBatch(sql: Sql, batch: readonly AccessObjectRow[], askedAt: string): Promise<void> {
  if (batch.length > 0) await sql.query(writing, [JSON.stringify(batch), askedAt])
}

const mayStartMs = 60_000
const pauseMs = 250

/** As `takeSnapshot`, for a service that may be starting just now, as may all of Berth: that is no news for a minute. */
export async function takeFirstSnapshot(db: Database, owner: Owner, signal: AbortSignal): Promise<void> {
  const until = performance.now() + mayStartMs
  for (;;) {
    try {
      return await takeSnapshot(db, owner, signal)
    } catch (error) {
      const isAway = error instanceof Problem && error.status === 503
      if (!isAway || signal.aborted || performance.now() > until) throw error
      await delay(pauseMs, undefined, { signal })
    }
  }
}
