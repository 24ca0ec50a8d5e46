import type { CatalogCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database, Sql } from '@berth/service'
import { heldNow } from '../intervals/held.ts'

type FindServed = CatalogCommands['find-served']

const access = (row: string) => `'id', ${row}.id, 'basePath', ${row}.base_path, 'ownerId', ${row}.owner_id,
  'isPublic', ${row}.access = 'public'`

// Of a distribution that came by a host, that is it; else the one whose base path is the longest above the name.
const servedQuery = `
  select case when served.id is not null then jsonb_build_object(${access('served')},
      'repositoryId', repository.id, 'repository', repository.name) end as distribution,
    case
      when served.version is null then repository.content_of
      when served.version = repository.latest_version then coalesce(repository.content_of, served.version)
      else served.version
    end as "readableAt",
    (select jsonb_build_object(${access('host')}, 'remoteId', host.pull_through ->> 'remoteId',
        'host', host.pull_through ->> 'host', 'trigger', host.pull_through -> 'trigger')
      from distribution as host
      where host.pull_through is not null
        and case when served.id is null then host.base_path = any($2::text[]) else host.id = served.via end
      order by length(host.base_path) desc
      limit 1) as "pullThrough"
  from (select) as one
  left join distribution as served on served.base_path = $1 and served.repository_id is not null
  left join repository on repository.id = served.repository_id`

type Row = {
  distribution: FindServed['reply']['distribution']
  readableAt: number | null
  pullThrough: FindServed['reply']['pullThrough']
}

/** What is served under a base path, or may come from a host; and the manifest that a tag or a digest means there. */
export async function findServed(db: Database, request: FindServed['request']): Promise<FindServed['reply']> {
  const parts = request.basePath.split('/')
  const above = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'))
  const [row] = await db.query<Row>(servedQuery, [request.basePath, above])
  const { distribution = null, readableAt = null, pullThrough = null } = row ?? {}
  const digest = distribution ? await findManifest(db, distribution.repositoryId, readableAt, request) : undefined
  return { distribution, digest: digest ?? null, pullThrough }
}

async function findManifest(
  sql: Sql,
  repositoryId: string,
  readableAt: number | null,
  { tag, digest }: FindServed['request'],
): Promise<Digest | undefined> {
  const isTag = digest === undefined
  const [found] = await sql.query<{ digest: Digest }>(
    isTag
      ? `select digest from tag_interval as held where repository_id = $1 and name = $2 and ${heldNow('held', '$3::integer')}`
      : `select digest from manifest_interval as held where repository_id = $1 and digest = $2 and ${heldNow('held', '$3::integer')}`,
    [repositoryId, isTag ? (tag ?? '') : digest, readableAt],
  )
  return found?.digest
}
