import type { KeptTrigger, ServedPullThrough } from '@berth/commands'
import type { Sql } from '@berth/service'

/** A base path below which content comes from a host when it is first pulled. */
export type PullThrough = {
  id: string
  basePath: string
  host: string
  remoteId: string
  ttlSeconds: number
  trigger: KeptTrigger
  isPublic: boolean
}

/** A row of `pull_through` as an object. */
export const pullThroughOf = (
  row: string,
) => `jsonb_build_object('id', ${row}.id, 'basePath', ${row}.base_path, 'host', ${row}.host,
    'remoteId', ${row}.remote_id, 'ttlSeconds', ${row}.ttl_seconds, 'trigger', ${row}.trigger, 'isPublic', ${row}.access = 'public')`

/** The one whose base path is the longest that a name lies below. */
export async function pullThroughFor(sql: Sql, name: string): Promise<PullThrough | undefined> {
  const parts = name.split('/')
  const prefixes = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'))
  const [found] = await sql.prepared<{ pullThrough: PullThrough }>(
    'pull-through-for',
    `select ${pullThroughOf('pull_through')} as "pullThrough"
     from pull_through
     where base_path = any($1::text[])
     order by length(base_path) desc
     limit 1`,
    [prefixes],
  )
  return found?.pullThrough
}

/** The first that gives content of a host; one for everybody before those of some, which would else keep all others from it. */
export async function pullThroughFrom(sql: Sql, host: string): Promise<PullThrough | undefined> {
  const [found] = await sql.prepared<{ pullThrough: PullThrough }>(
    'pull-through-from',
    `select ${pullThroughOf('pull_through')} as "pullThrough"
     from pull_through
     where host = $1
     order by access = 'public' desc, base_path
     limit 1`,
    [host],
  )
  return found?.pullThrough
}

/**
 * The base path below which a name is looked for that nothing here has: that of the mirror of the root, unless the first segment of
 * the name is a namespace here.
 */
export async function mirrorOfRootFor(sql: Sql, name: string): Promise<string | undefined> {
  const [found] = await sql.prepared<{ basePath: string }>(
    'mirror-of-root-for',
    // Where the setting went from one to another, both may have it until that is heard of both.
    `select base_path as "basePath"
     from pull_through
     where mirror_of_root
       and not exists (select from namespace where name = split_part($1, '/', 1))
     order by revision desc
     limit 1`,
    [name],
  )
  return found?.basePath
}

/** Takes over what catalog says of a pull-through distribution, unless something newer was heard. */
export async function writePullThrough(sql: Sql, row: ServedPullThrough): Promise<void> {
  if (row.deleted) return forgetPullThrough(sql, row)
  const [before] = await sql.query<{ access: string }>(
    `select access
     from pull_through
     where id = $1
     for update`,
    [row.id],
  )
  const written = await sql.query(
    `insert into pull_through as known (id, base_path, host, remote_id, ttl_seconds, trigger, mirror_of_root, access, revision)
     select $1, $2, $3, $4, $5, $6, $7, $8, $9
     where not exists (select from gone_distribution where id = $1)
     on conflict (id) do update set
       base_path = excluded.base_path,
       host = excluded.host,
       remote_id = excluded.remote_id,
       ttl_seconds = excluded.ttl_seconds,
       trigger = excluded.trigger,
       mirror_of_root = excluded.mirror_of_root,
       access = excluded.access,
       revision = excluded.revision
     where known.revision < excluded.revision
     returning id`,
    [
      row.id,
      row.basePath,
      row.host,
      row.remoteId,
      row.ttlSeconds,
      JSON.stringify(row.trigger),
      row.mirrorOfRoot,
      row.access,
      row.revision,
    ],
  )
  if (written.length > 0 && before) await changeArrived(sql, row, before.access)
}

/** As catalog did when the access of the host was changed: each of these will be told of too, and no request waits for that. */
async function changeArrived(sql: Sql, { id, access }: ServedPullThrough, before: string): Promise<void> {
  if (access === before) return
  await sql.query('update pointer set access = $2 where via = $1 and access = $3', [id, access, before])
}

/** Gives nothing of a host any more, whatever is still heard of it. */
export async function forgetPullThrough(sql: Sql, { id, revision }: { id: string; revision: number }): Promise<void> {
  await sql.query('insert into gone_distribution (id, revision) values ($1, $2) on conflict (id) do nothing', [
    id,
    revision,
  ])
  await sql.query('delete from pull_through where id = $1', [id])
  // Catalog deleted these with it, and will say so of each.
  await sql.query('delete from pointer where via = $1', [id])
}
