import type { CatalogCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Database, Problem, type Sql } from '@berth/service'
import { recordBlobs } from '../leases/leases.ts'
import { recordManifests, storedOf } from '../pushes/record-manifests.ts'

export type StageRow = {
  fence: number
  state: 'open' | 'committed' | 'closed'
  reply: CatalogCommands['commit-stage']['reply'] | null
}

/** What is staged, by kind. */
export const stageTables = ['stage_tag', 'stage_manifest', 'stage_omission', 'stage_signature', 'stage_blob'] as const

/** Locks a stage for a writer with this fence, opening it at its first use. A writer that was replaced is refused. */
export async function lockStage(sql: Sql, stage: string, fence: number): Promise<StageRow> {
  await sql.query(`insert into stage (id, fence, state) values ($1, $2, 'open') on conflict do nothing`, [stage, fence])
  const [row] = await sql.query<StageRow>(
    `select fence, state, reply
     from stage
     where id = $1
     for update`,
    [stage],
  )
  if (!row || row.fence > fence) throw new Problem(409, 'fence_too_low', 'Another worker has taken over this run.')
  await sql.query('update stage set fence = $2, touched_at = now() where id = $1', [stage, fence])
  return row
}

type Request = CatalogCommands['stage-content']['request']

/** Puts a part of a large change aside. Nothing of it is visible before `commit-stage`; repeating a part is harmless. */
export async function stageContent(db: Database, request: Request): Promise<void> {
  await db.transaction(async (sql) => {
    const { state } = await lockStage(sql, request.stage, request.fence)
    if (state !== 'open') throw new Problem(409, 'stage_ended', 'This run has ended already.')
    await recordBlobs(sql, request.manifests.flatMap(storedOf))
    await recordManifests(sql, request.manifests)
    await stageTags(sql, request)
    await stageRows(sql, request)
    await deferBlobs(sql, request.deferred ?? [])
  })
}

async function stageTags(sql: Sql, { stage, tags, kept = [] }: Request): Promise<void> {
  if (tags.length + kept.length === 0) return
  await sql.query(
    `insert into stage_tag (stage, name, digest)
     select $1, name, digest
     from unnest($2::text[], $3::text[]) as tag (name, digest)
     on conflict (stage, name) do update set digest = excluded.digest`,
    [stage, [...tags.map((tag) => tag.name), ...kept], [...tags.map((tag) => tag.digest), ...kept.map(() => null)]],
  )
}

async function stageRows(sql: Sql, request: Request): Promise<void> {
  const { stage, members = [], omitted = [], signatures = [], blobs = [] } = request
  const rows: [table: string, columns: string[], values: string[][]][] = [
    ['stage_manifest', ['digest'], [members]],
    ['stage_blob', ['digest'], [blobs]],
    ['stage_omission', ['manifest', 'child'], [omitted.map((one) => one.manifest), omitted.map((one) => one.child)]],
    [
      'stage_signature',
      ['name', 'digest', 'content'],
      [signatures.map((one) => one.name), signatures.map((one) => one.digest), signatures.map((one) => one.content)],
    ],
  ]
  for (const [table, columns, values] of rows) {
    if (values[0]?.length === 0) continue
    const lists = values.map((_value, i) => `$${i + 2}::text[]`).join(', ')
    await sql.query(
      `insert into ${table} (stage, ${columns.join(', ')})
       select $1, ${columns.join(', ')}
       from unnest(${lists}) as given (${columns.join(', ')})
       on conflict do nothing`,
      [stage, ...values],
    )
  }
}

/**
 * Notes that bytes are at a remote and come when they are asked for. What is here, or comes while we look, is here. One that was
 * said to have another size is to be written now, under a key of its own, so that registry hears of the size that it has.
 */
async function deferBlobs(sql: Sql, deferred: readonly { digest: Digest; sizeBytes: number }[]): Promise<void> {
  if (deferred.length === 0) return
  const sorted = [...deferred].sort((a, b) => (a.digest < b.digest ? -1 : 1))
  const disputed = await sql.query<{ digest: Digest }>(
    `update blob
     set state = 'writing', generation = nextval('blob_generation'), size_bytes = null
     from unnest($1::text[], $2::bigint[]) as said (digest, size_bytes)
     where blob.digest = said.digest
       and blob.state = 'remote'
       and blob.size_bytes <> said.size_bytes
     returning blob.digest`,
    [sorted.map((blob) => blob.digest), sorted.map((blob) => blob.sizeBytes)],
  )
  const isDisputed = new Set(disputed.map((blob) => blob.digest))
  const agreed = sorted.filter((blob) => !isDisputed.has(blob.digest))
  await sql.query(
    `update blob
     set state = 'remote', size_bytes = said.size_bytes, damage = case damage when 'rotten' then 'healed' end
     from unnest($1::text[], $2::bigint[]) as said (digest, size_bytes)
     where blob.digest = said.digest
       and blob.state = 'writing'`,
    [agreed.map((blob) => blob.digest), agreed.map((blob) => blob.sizeBytes)],
  )
}

/** Ends a stage whose run was given up. If the commit was faster it stands, and the answer says so. */
export async function closeStage(
  db: Database,
  request: CatalogCommands['close-stage']['request'],
): Promise<{ committed: boolean }> {
  return db.transaction(async (sql) => {
    const { state } = await lockStage(sql, request.stage, request.fence)
    if (state === 'committed') return { committed: true }
    await sql.query(`update stage set state = 'closed' where id = $1`, [request.stage])
    await clearStage(sql, request.stage)
    return { committed: false }
  })
}

/** Deletes what was staged; the stage's own row stays, so that a late commit is recognised. */
export async function clearStage(sql: Sql, stage: string): Promise<void> {
  for (const table of stageTables) await sql.query(`delete from ${table} where stage = $1`, [stage])
}
