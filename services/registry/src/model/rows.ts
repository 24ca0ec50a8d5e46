import type { ServedDistribution, ServedRow } from '@berth/commands'
import type { Sql } from '@berth/service'

type Of<K extends ServedRow['kind']> = Extract<ServedRow, { kind: K }>
type Writer = { kinds: readonly ServedRow['kind'][]; sql: string }

const intervals = (table: string, key: string, columns: string, extra = '') =>
  `insert into ${table} (repository_id, ${key}, since, until${extra})
   select $1::uuid, ${columns} from jsonb_to_recordset($2) as row (name text, digest text, since integer, until integer)
   on conflict (repository_id, ${key}, since) do update set until = excluded.until${extra ? ', digest = excluded.digest' : ''}`

/** How each kind of row is written; every statement may be repeated. `$1` is the repository, `$2` the rows as JSON. */
const writers: Writer[] = [
  { kinds: ['tag'], sql: intervals('served_tag', 'name', 'name, since, until, digest', ', digest') },
  { kinds: ['manifest'], sql: intervals('served_manifest', 'digest', 'digest, since, until') },
  { kinds: ['blob'], sql: intervals('served_blob', 'digest', 'digest, since, until') },
  {
    kinds: ['manifest-facts'],
    sql: `insert into manifest_facts (digest, generation, media_type, size_bytes, artifact_type, subject, annotations)
      select digest, generation, "mediaType", "sizeBytes", "artifactType", subject, annotations from jsonb_to_recordset($2)
        as row (digest text, generation integer, "mediaType" text, "sizeBytes" bigint, "artifactType" text, subject text, annotations jsonb)
      where $1::uuid is not null order by digest
      on conflict (digest) do update set generation = excluded.generation where manifest_facts.generation < excluded.generation`,
  },
  {
    kinds: ['blob-facts'],
    sql: `insert into blob_facts (digest, generation, size_bytes)
      select digest, generation, "sizeBytes" from jsonb_to_recordset($2) as row (digest text, generation integer, "sizeBytes" bigint)
      where $1::uuid is not null order by digest
      on conflict (digest) do update set generation = excluded.generation where blob_facts.generation < excluded.generation`,
  },
]

/** Writes one batch of rows of a repository, whatever their kinds. */
export async function writeRows(sql: Sql, repositoryId: string, rows: readonly ServedRow[]): Promise<void> {
  for (const { kinds, sql: statement } of writers) {
    const batch = rows.filter((row) => kinds.includes(row.kind))
    if (batch.length > 0) await sql.prepared(`write-${kinds[0]}`, statement, [repositoryId, JSON.stringify(batch)])
  }
  await writeLinks(
    sql,
    repositoryId,
    rows.filter((row): row is Of<'link'> => row.kind === 'link'),
  )
  for (const row of rows) if (row.kind === 'distribution') await writeDistribution(sql, row)
}

async function writeLinks(sql: Sql, repositoryId: string, links: readonly Of<'link'>[]): Promise<void> {
  if (links.length === 0) return
  const linked = links.filter((link) => link.linked).map((link) => link.digest)
  const unlinked = links.filter((link) => !link.linked).map((link) => link.digest)
  if (linked.length > 0)
    await sql.prepared(
      'write-links',
      'insert into served_link (repository_id, digest) select $1, unnest($2::text[]) on conflict do nothing',
      [repositoryId, linked],
    )
  if (unlinked.length > 0)
    await sql.query('delete from served_link where repository_id = $1 and digest = any($2::text[])', [
      repositoryId,
      unlinked,
    ])
}

/** Locks the model's row of a repository, making it when it is the first we hear. Answers how far it has followed. */
export async function lockServed(
  sql: Sql,
  repositoryId: string,
): Promise<{ revision: number; latestVersion: number; name: string }> {
  const read = () =>
    sql.prepared<{ revision: number; latestVersion: number; name: string }>(
      'lock-served',
      'select revision, latest_version as "latestVersion", name from served_repository where id = $1 for update',
      [repositoryId],
    )
  const [row] = await read()
  if (row) return row
  await sql.query('insert into served_repository (id) values ($1) on conflict do nothing', [repositoryId])
  const [made] = await read()
  if (!made) throw new Error(`the model lost repository ${repositoryId} while it was locked`)
  return made
}

/** Takes over what catalog says of a distribution, unless something newer was heard. The caller holds its repository. */
export async function writeDistribution(sql: Sql, row: ServedDistribution): Promise<void> {
  if (row.deleted) {
    await sql.query('insert into gone_distribution (id, revision) values ($1, $2) on conflict (id) do nothing', [
      row.id,
      row.revision,
    ])
    await sql.query('delete from pointer where distribution_id = $1', [row.id])
    return
  }
  await sql.prepared(
    'write-distribution',
    `insert into pointer (base_path, distribution_id, repository_id, repository_name, pinned, latest_version, repository_revision, distribution_revision, access, redirect)
     select $2, $1, repository.id, repository.name, $4, repository.latest_version, repository.revision, $7, $5, $6
     from served_repository as repository where repository.id = $3 and not exists (select from gone_distribution where id = $1)
     on conflict (distribution_id) do update set repository_id = excluded.repository_id, repository_name = excluded.repository_name, pinned = excluded.pinned,
       latest_version = excluded.latest_version, repository_revision = excluded.repository_revision,
       distribution_revision = excluded.distribution_revision, access = excluded.access, redirect = excluded.redirect
     where pointer.distribution_revision < excluded.distribution_revision`,
    [row.id, row.basePath, row.repositoryId, row.version, row.access, row.redirect, row.revision],
  )
}

/** Moves the model's head, and with it every pointer of the repository, in the transaction that wrote the rows. */
export async function moveHead(sql: Sql, head: Of<'head'>): Promise<void> {
  const values = [head.repositoryId, head.name, head.revision, head.latestVersion]
  await sql.prepared(
    'move-served',
    'update served_repository set name = $2, revision = $3, latest_version = $4 where id = $1',
    values,
  )
  await sql.prepared(
    'move-pointers',
    'update pointer set repository_name = $2, repository_revision = $3, latest_version = $4 where repository_id = $1',
    values,
  )
}

const perRepository = ['pointer', 'served_tag', 'served_manifest', 'served_blob', 'served_link', 'follow_wanted']

/** Forgets a repository that is no more. */
export async function forgetRepository(sql: Sql, repositoryId: string): Promise<void> {
  for (const table of perRepository) await sql.query(`delete from ${table} where repository_id = $1`, [repositoryId])
  await sql.query('delete from served_repository where id = $1', [repositoryId])
}
