import type { ServedDistribution, ServedHead, ServedRow } from '@berth/commands'
import type { Database, Sql } from '@berth/service'

const pageRows = 1_000

/**
 * All that an open transaction has changed of a repository after a revision, in one list and with one query; for the small
 * changes of a push. `head` is what the transaction makes of it, perhaps only at its end.
 */
export async function rowsAfter(
  sql: Sql,
  repositoryId: string,
  afterRevision: number,
  head: HeadRow | Promise<HeadRow>,
): Promise<ServedRow[]> {
  const [distributions, found, { name, revision, latestVersion }] = await Promise.all([
    afterRevision === 0 ? distributionsOf(sql, repositoryId) : [],
    sql.prepared<{ row: ServedRow }>('served-rows', allQueries, [repositoryId, afterRevision, '', -1, pageRows]),
    head,
  ])
  // Cut short, perhaps, in one of the kinds: then it is read a page at a time.
  const rows =
    found.length < pageRows
      ? found.map(({ row }) => row)
      : await Array.fromAsync(readContent(sql, repositoryId, afterRevision))
  return [
    { kind: 'head', repositoryId, from: afterRevision, name, revision, latestVersion },
    ...distributions.map((distribution) => ({ kind: 'distribution' as const, ...distribution })),
    ...rows,
  ]
}

/**
 * All that changed of a repository after a revision, as it stands in one snapshot, a page at a time. The first row is the
 * head: the revision that a follower has once it applied the rest.
 */
export async function* streamRows(db: Database, repositoryId: string, afterRevision: number): AsyncIterable<ServedRow> {
  const pages = openSnapshot(db, (sql) => readRows(sql, repositoryId, afterRevision))
  yield* pages
}

/** Runs an iteration inside one repeatable-read transaction that ends with it. */
async function* openSnapshot<Row>(db: Database, read: (sql: Sql) => AsyncIterable<Row>): AsyncIterable<Row> {
  const client = await db.pool.connect()
  let broken = true
  try {
    await client.query('begin isolation level repeatable read read only')
    const sql: Sql = {
      query: async (text, values) => (await client.query(text, values as unknown[])).rows,
      prepared: async (name, text, values) => (await client.query({ name, text, values: values as unknown[] })).rows,
    }
    yield* read(sql)
    await client.query('commit')
    broken = false
  } finally {
    // A reader that left in the middle leaves the transaction open; the connection is not worth saving.
    client.release(broken)
  }
}

type HeadRow = { name: string; revision: number; latestVersion: number }

async function readHead(sql: Sql, repositoryId: string): Promise<HeadRow | undefined> {
  const [head] = await sql.prepared<HeadRow>(
    'served-head',
    `select name, revision, latest_version as "latestVersion" from repository where id = $1`,
    [repositoryId],
  )
  return head
}

async function* readRows(sql: Sql, repositoryId: string, afterRevision: number): AsyncIterable<ServedRow> {
  const head = await readHead(sql, repositoryId)
  if (!head) {
    yield { kind: 'gone', repositoryId }
    return
  }
  yield { kind: 'head', repositoryId, from: afterRevision, ...head }
  if (afterRevision === 0) {
    for (const distribution of await distributionsOf(sql, repositoryId)) yield { kind: 'distribution', ...distribution }
  }
  yield* readContent(sql, repositoryId, afterRevision)
}

async function* readContent(sql: Sql, repositoryId: string, afterRevision: number): AsyncIterable<ServedRow> {
  for (const [name, query] of Object.entries({ ...factQueries, ...rowQueries }))
    yield* pagesOf(sql, name, query, repositoryId, afterRevision)
}

async function* pagesOf(
  sql: Sql,
  name: string,
  query: string,
  repositoryId: string,
  afterRevision: number,
): AsyncIterable<ServedRow> {
  let after: [string, number] = ['', -1]
  for (;;) {
    const rows = await sql.prepared<{ row: ServedRow; key: string; since: number }>(name, query, [
      repositoryId,
      afterRevision,
      ...after,
      pageRows,
    ])
    for (const { row } of rows) yield row
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return
    after = [last.key, last.since]
  }
}

const rowQueries = {
  'served-tags': intervalQuery(
    'tag_interval',
    'name',
    `jsonb_build_object('kind', 'tag', 'name', name, 'digest', digest, 'since', since, 'until', until)`,
  ),
  'served-manifests': intervalQuery(
    'manifest_interval',
    'digest',
    `jsonb_build_object('kind', 'manifest', 'digest', digest, 'since', since, 'until', until)`,
  ),
  'served-blobs': intervalQuery(
    'blob_interval',
    'digest',
    `jsonb_build_object('kind', 'blob', 'digest', digest, 'since', since, 'until', until)`,
  ),
  'served-signatures': intervalQuery(
    'signature_interval',
    'name',
    `jsonb_build_object('kind', 'signature', 'name', name, 'digest', digest, 'content', content, 'since', since, 'until', until)`,
  ),
  'served-links': `select jsonb_build_object('kind', 'link', 'digest', digest, 'linked', linked) as row, digest as key, 0 as since
    from blob_link where repository_id = $1 and revision > $2 and (digest, 0) > ($3, $4::integer) order by digest limit $5`,
}

function intervalQuery(table: string, key: string, row: string): string {
  return `select ${row} as row, ${key} as key, since from ${table}
    where repository_id = $1 and revision > $2 and (${key}, since) > ($3, $4::integer) order by ${key}, since limit $5`
}

/** What a follower needs to know of manifests and blobs that came in: their keys in the store, and what they are. */
const factQueries = {
  'served-blob-facts': `select jsonb_build_object('kind', 'blob-facts', 'digest', digest, 'generation', generation, 'sizeBytes', size_bytes) as row, digest as key, 0 as since
     from blob where digest in (
       select digest from blob_interval where repository_id = $1 and revision > $2
       union select digest from blob_link where repository_id = $1 and revision > $2 and linked)
     and size_bytes is not null and (digest, 0) > ($3, $4::integer) order by digest limit $5`,
  'served-manifest-facts': `select jsonb_build_object('kind', 'manifest-facts', 'digest', manifest.digest, 'generation', blob.generation, 'mediaType', manifest.media_type,
       'sizeBytes', manifest.size_bytes, 'envelope', case when whole.digest is not null then jsonb_build_object('digest', whole.digest, 'generation', whole.generation, 'sizeBytes', whole.size_bytes) end, 'artifactType', manifest.artifact_type, 'subject', manifest.subject, 'annotations', manifest.annotations) as row,
       manifest.digest as key, 0 as since
     from manifest join blob using (digest) left join blob as whole on whole.digest = manifest.envelope
     where manifest.digest in (select digest from manifest_interval where repository_id = $1 and revision > $2)
       and (manifest.digest, 0) > ($3, $4::integer) order by manifest.digest limit $5`,
}

/** The first page of every kind at once. */
const allQueries = Object.values({ ...factQueries, ...rowQueries })
  .map((query) => `(${query})`)
  .join(' union all ')

const distributionColumns = `id, base_path as "basePath", repository_id as "repositoryId", version, access, redirect, warning, convert_to_schema1 as "convertToSchema1", revision, false as deleted`

async function distributionsOf(sql: Sql, repositoryId: string): Promise<ServedDistribution[]> {
  return sql.prepared<ServedDistribution>(
    'served-distributions',
    `select ${distributionColumns} from distribution where repository_id = $1`,
    [repositoryId],
  )
}

/** The heads of everything that is served, for a follower that starts or wants to be sure. */
export async function* streamHeads(db: Database): AsyncIterable<ServedHead> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const rows = await db.query<{ id: string; revision: number }>(
      'select id, revision from repository where id > $1 order by id limit $2',
      [after, pageRows],
    )
    for (const { id, revision } of rows) yield { kind: 'repository', repositoryId: id, revision }
    const last = rows.at(-1)
    if (!last) break
    after = last.id
  }
  const distributions = await db.query<ServedDistribution>(
    `select ${distributionColumns} from distribution
     union all select id, base_path, repository_id, null, 'private', false, null, false, revision, true from deleted_distribution`,
  )
  for (const distribution of distributions) yield { kind: 'distribution', ...distribution }
}
