import { randomUUID } from 'node:crypto'
import type { ServedDistribution, ServedHead, ServedPullThrough, ServedRow } from '@berth/commands'
import type { Database, Sql } from '@berth/service'
import { endOfRevisions, revisedBetween } from '../intervals/tables.ts'
import { listNamespaceNames } from '../namespaces/find.ts'

const pageRows = 1_000
// A page in memory, here and there, and never near what one value of PostgreSQL may have.
const pageBytes = 4 << 20

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
    sql.prepared<{ row: ServedRow }>('served-rows', firstOfEach, [repositoryId, afterRevision, endOfRevisions]),
    head,
  ])
  const rows = found.map(({ row }) => row)
  const whole: ServedRow = { kind: 'head', repositoryId, from: afterRevision, name, revision, latestVersion }
  // A head that tells from its own revision on has registry fetch all of it, page by page.
  if (mayBeCut(rows)) return [{ ...whole, from: revision }]
  return [whole, ...distributions.map((distribution) => ({ kind: 'distribution' as const, ...distribution })), ...rows]
}

// So that all of them together stay below a page's bytes: facts have up to 64 KiB of annotations, signatures up to 24 KiB.
const mostRows: Partial<Record<ServedRow['kind'], number>> = { 'manifest-facts': 32, signature: 80 }
const mostSmallRows = 1_000

function mayBeCut(rows: readonly ServedRow[]): boolean {
  const counts = new Map<string, number>()
  return rows.some(({ kind }) => {
    const count = (counts.get(kind) ?? 0) + 1
    counts.set(kind, count)
    return count === (mostRows[kind] ?? mostSmallRows)
  })
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

/** `latestVersion` as registry is told it: one below the version whose content the latest has, while that is not written out. */
export type HeadRow = { name: string; revision: number; latestVersion: number }

async function readHead(sql: Sql, repositoryId: string): Promise<HeadRow | undefined> {
  const [head] = await sql.prepared<HeadRow>(
    'served-head',
    `select name, revision, coalesce(content_of - 1, latest_version) as "latestVersion" from repository where id = $1`,
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
  // Of what was over and is forgotten a follower can only hear by hearing all that is left.
  const from = afterRevision < (await forgottenRevision(sql, repositoryId)) ? 0 : afterRevision
  yield { kind: 'head', repositoryId, from, ...head }
  if (from === 0) {
    for (const distribution of await distributionsOf(sql, repositoryId)) yield { kind: 'distribution', ...distribution }
  }
  const restored = from > 0 ? await restoredBy(sql, repositoryId, from + 1) : undefined
  if (restored) yield { kind: 'restored', ...restored }
  yield* readContent(sql, repositoryId, restored ? from + 1 : from)
}

/**
 * The rollback whose intervals were written at a revision. A follower that has come up to there can do it by itself; sent row by
 * row, that of a large repository would be most of its work.
 */
async function restoredBy(
  sql: Sql,
  repositoryId: string,
  revision: number,
): Promise<{ version: number; at: number } | undefined> {
  const [made] = await sql.prepared<{ version: number; at: number }>(
    'restored-by',
    `select base as version, number as at from version where repository_id = $1 and revision = $2 and cause = 'rollback'
       and not exists (select from repository where id = $1 and latest_version = number and content_of is not null)`,
    [repositoryId, revision],
  )
  return made
}

async function forgottenRevision(sql: Sql, repositoryId: string): Promise<number> {
  const [row] = await sql.prepared<{ revision: number }>(
    'forgotten-revision',
    'select revision from forgotten_trace where repository_id = $1',
    [repositoryId],
  )
  return row?.revision ?? 0
}

/** Through a cursor, for there may be very many; only inside a transaction. */
async function* readContent(sql: Sql, repositoryId: string, afterRevision: number): AsyncIterable<ServedRow> {
  const cursor = `served ${randomUUID()}`
  // A cursor takes no parameters, so it finds them as settings of the transaction.
  await sql.query(
    `select set_config('berth.repository', $1, true), set_config('berth.revision', $2, true), set_config('berth.end', $3, true),
       set_config('cursor_tuple_fraction', '1', true)`,
    [repositoryId, String(afterRevision), String(endOfRevisions)],
  )
  await sql.query(
    `declare "${cursor}" no scroll cursor for ${changed({
      repository: "current_setting('berth.repository')::uuid",
      after: "current_setting('berth.revision')::bigint",
      end: "current_setting('berth.end')::bigint",
    })}`,
  )
  const fetchPage = () =>
    sql.prepared<{ row: ServedRow }>('fetch-page', 'select fetch_page($1, $2, $3) as row', [
      cursor,
      pageRows,
      pageBytes,
    ])
  let reading = fetchPage()
  for (;;) {
    const page = await reading
    if (page.length === 0) break
    // The next page is made while this one travels.
    reading = fetchPage()
    // A reader that leaves in the middle has lost the connection anyway.
    reading.catch(() => undefined)
    for (const { row } of page) yield row
  }
  await sql.query(`close "${cursor}"`)
}

/** Everything of a repository above a revision. What blobs and manifests are comes before where they belong. */
function changed(names: { repository: string; after: string; end: string; isLimited?: boolean }): string {
  const { repository, after, end, isLimited = false } = names
  const since = (table: string) =>
    `from ${table} where repository_id = ${repository} and ${revisedBetween(table, after, end)}`
  const interval = (kind: ServedRow['kind'], columns: string): [ServedRow['kind'], string] => [
    kind,
    `select jsonb_build_object('kind', '${kind}', ${columns}, 'since', since, 'until', until) as row ${since(`${kind}_interval`)}`,
  ]
  const queries: [ServedRow['kind'], string][] = [
    [
      'blob-facts',
      `select jsonb_build_object(
         'kind', 'blob-facts', 'digest', digest, 'generation', generation, 'placed', placed, 'sizeBytes', size_bytes) as row
       from blob
       where digest in (select digest ${since('blob_interval')} union select digest ${since('blob_link')} and linked)
         and size_bytes is not null`,
    ],
    [
      'manifest-facts',
      `select jsonb_build_object(
         'kind', 'manifest-facts', 'digest', manifest.digest, 'generation', blob.generation, 'placed', blob.placed,
         'mediaType', manifest.media_type, 'sizeBytes', manifest.size_bytes,
         'envelope', case when whole.digest is not null then jsonb_build_object(
           'digest', whole.digest, 'generation', whole.generation, 'sizeBytes', whole.size_bytes) end,
         'artifactType', manifest.artifact_type, 'subject', manifest.subject, 'annotations', manifest.annotations) as row
       from manifest
       join blob using (digest)
       left join blob as whole on whole.digest = manifest.envelope
       where manifest.digest in (select digest ${since('manifest_interval')})`,
    ],
    interval('tag', `'name', name, 'digest', digest`),
    interval('manifest', `'digest', digest, 'pushedType', pushed_type`),
    interval('blob', `'digest', digest`),
    interval('signature', `'name', name, 'digest', digest, 'content', content`),
    [
      'link',
      `select jsonb_build_object('kind', 'link', 'digest', digest, 'linked', linked) as row ${since('blob_link')}`,
    ],
  ]
  return queries
    .map(([kind, query]) => `(${query}${isLimited ? ` limit ${mostRows[kind] ?? mostSmallRows}` : ''})`)
    .join(' union all ')
}

const firstOfEach = changed({ repository: '$1', after: '$2', end: '$3', isLimited: true })

const distributionColumns = `id, base_path as "basePath", repository_id as "repositoryId", version, access, redirect, warning, convert_to_schema1 as "convertToSchema1", via, owner_id as "ownerId", revision, false as deleted`

/** The distributions of a repository, as registry is told of them. */
export async function distributionsOf(sql: Sql, repositoryId: string): Promise<ServedDistribution[]> {
  return sql.prepared<ServedDistribution>(
    'served-distributions',
    `select ${distributionColumns} from distribution where repository_id = $1`,
    [repositoryId],
  )
}

/**
 * The heads of everything that is served, for a follower that starts or wants to be sure. Distributions are read first and told
 * last: so a follower that hears of a pin has heard before how far to follow to have its version.
 */
export async function* streamHeads(db: Database): AsyncIterable<ServedHead> {
  const distributions = await db.query<ServedDistribution>(
    `select ${distributionColumns}
     from distribution
     where repository_id is not null
     union all
     select id, base_path, repository_id, null, 'private', false, null, false, null, null, revision, true
     from deleted_distribution
     where repository_id is not null`,
  )
  const pullThroughs = await db.query<ServedPullThrough>(
    `select id, base_path as "basePath", pull_through ->> 'remoteId' as "remoteId", pull_through ->> 'host' as host,
       (pull_through ->> 'ttlSeconds')::integer as "ttlSeconds", pull_through -> 'trigger' as trigger,
       pull_through @> '{"mirrorOfRoot": true}' as "mirrorOfRoot", access, revision, false as deleted
     from distribution
     where pull_through is not null
     union all
     select id, base_path, id::text, '', 0, '[]'::jsonb, false, 'private', revision, true
     from deleted_distribution
     where repository_id is null`,
  )
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const rows = await db.query<{ id: string; revision: number }>(
      `select id, revision
       from repository
       where id > $1
       order by id
       limit $2`,
      [after, pageRows],
    )
    for (const { id, revision } of rows) yield { kind: 'repository', repositoryId: id, revision }
    const last = rows.at(-1)
    if (!last) break
    after = last.id
  }
  for (const distribution of distributions) yield { kind: 'distribution', ...distribution }
  for (const pullThrough of pullThroughs) yield { kind: 'pull-through', ...pullThrough }
  for (const name of await listNamespaceNames(db)) yield { kind: 'namespace', name }
}
