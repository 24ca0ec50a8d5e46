import type { ServedDistribution, ServedRow } from '@berth/commands'
import type { Sql } from '@berth/service'

type Head = Extract<ServedRow, { kind: 'head' }>

/**
 * Applies a small change as a whole, in one statement. `gap`: something before it is missing in the model, or the repository
 * is new to it.
 */
export async function applyChange(
  sql: Sql,
  head: Head,
  rows: readonly ServedRow[],
): Promise<'applied' | 'old' | 'gap'> {
  const [row] = await sql.prepared<{ outcome: 'applied' | 'old' | 'gap' }>(
    'apply-change',
    'select apply_change($1, $2, $3) as outcome',
    [head.repositoryId, JSON.stringify(head), JSON.stringify(rows)],
  )
  return row?.outcome ?? 'gap'
}

/** Writes one batch of rows of a repository, whatever their kinds. */
export async function writeRows(sql: Sql, repositoryId: string, rows: readonly ServedRow[]): Promise<void> {
  await sql.prepared('write-rows', 'select write_rows($1, $2)', [repositoryId, JSON.stringify(rows)])
  for (const row of rows) if (row.kind === 'distribution') await writeDistribution(sql, row)
}

/** Locks the model's row of a repository, making it when it is the first we hear. Answers how far it has followed. */
export async function lockServed(
  sql: Sql,
  repositoryId: string,
): Promise<{ revision: number; latestVersion: number; name: string }> {
  const read = () =>
    sql.prepared<{ revision: number; latestVersion: number; name: string }>(
      'lock-served',
      `select revision, latest_version as "latestVersion", name
       from served_repository
       where id = $1
       for update`,
      [repositoryId],
    )
  const [row] = await read()
  if (row) return row
  await sql.query('insert into served_repository (id) values ($1) on conflict do nothing', [repositoryId])
  const [made] = await read()
  if (!made) throw new Error(`the model lost repository ${repositoryId} while it was locked`)
  return made
}

const writePointer = `
  insert into pointer (base_path, distribution_id, repository_id, repository_name, pinned, latest_version, repository_revision,
    distribution_revision, access, redirect, warning, convert_to_schema1, via, owner_id)
  select $2, $1, repository.id, repository.name, $4, repository.latest_version, repository.revision,
    case when host.id is null then $7 else 0 end, coalesce(host.access, $5), $6, $8, coalesce($9, false), $10, $11
  from served_repository as repository
  left join pull_through as host on host.id = $10 and host.access = 'private' and host.revision > $7
  where repository.id = $3
    and not exists (select from gone_distribution where id = $1)
  on conflict (distribution_id) do update set
    repository_id = excluded.repository_id,
    repository_name = excluded.repository_name,
    pinned = excluded.pinned,
    latest_version = excluded.latest_version,
    repository_revision = excluded.repository_revision,
    distribution_revision = $7,
    access = $5,
    redirect = excluded.redirect,
    warning = excluded.warning,
    convert_to_schema1 = excluded.convert_to_schema1,
    via = excluded.via,
    owner_id = excluded.owner_id
  where pointer.distribution_revision < $7`

/**
 * Takes over what catalog says of a distribution, unless something newer was heard. The caller holds its repository. What came by
 * a host that became private since is private until it is told of again: this may be from before that.
 */
export async function writeDistribution(sql: Sql, row: ServedDistribution): Promise<void> {
  if (row.deleted) return forgetDistribution(sql, row)
  await sql.prepared('write-distribution', writePointer, [
    row.id,
    row.basePath,
    row.repositoryId,
    row.version,
    row.access,
    row.redirect,
    row.revision,
    row.warning,
    row.convertToSchema1,
    row.via,
    row.ownerId ?? null,
  ])
}

/** Serves a distribution no more, whatever is still heard of it. The caller holds its repository. */
export async function forgetDistribution(sql: Sql, { id, revision }: { id: string; revision: number }): Promise<void> {
  await sql.query('insert into gone_distribution (id, revision) values ($1, $2) on conflict (id) do nothing', [
    id,
    revision,
  ])
  await sql.query('delete from pointer where distribution_id = $1', [id])
}

/** Moves the model's head, and with it every pointer of the repository, in the transaction that wrote the rows. */
export async function moveHead(sql: Sql, head: Head): Promise<void> {
  await sql.prepared('move-head', 'select move_head($1, $2)', [head.repositoryId, JSON.stringify(head)])
}

const contentTables = ['served_tag', 'served_manifest', 'served_blob', 'served_link', 'served_signature']

/** Deletes what is known of a repository's content, in the transaction that writes all of it anew. */
export async function dropContent(sql: Sql, repositoryId: string): Promise<void> {
  for (const table of contentTables) await sql.query(`delete from ${table} where repository_id = $1`, [repositoryId])
}

/** Forgets a repository that is no more. */
export async function forgetRepository(sql: Sql, repositoryId: string): Promise<void> {
  await dropContent(sql, repositoryId)
  for (const table of ['pointer', 'follow_wanted'])
    await sql.query(`delete from ${table} where repository_id = $1`, [repositoryId])
  await sql.query('delete from served_repository where id = $1', [repositoryId])
}
