import type { AccessObject } from '@berth/access'
import type { Sql } from '@berth/service'

type Known = { id: string; name: string; ownerId: string | null }

/** What is known of a base path. */
export type Served = {
  distribution?: Known
  /** What the distribution serves. Without a name where auth has not heard of it: no pattern covers that. */
  repository?: AccessObject
  /** The distribution of a host from which what is pulled there came, or would come. */
  host?: Known
  /** The repository of the same name, where nothing is served. */
  named?: Known
}

type Row = { basePath: string } & Record<
  'distribution' | 'repository' | 'host' | 'named',
  (Known & { repositoryId?: string | null }) | null
>

const facts = (from: string) => `'id', ${from}.id, 'name', ${from}.name, 'ownerId', ${from}.owner_id`

// Of two that exchange their names, the one told of last.
const servedAt = (wanted: string) => `
  select wanted.name as "basePath",
    case when place.id is not null then jsonb_build_object(${facts('place')}, 'repositoryId', place.repository_id) end as distribution,
    case when served.id is not null then jsonb_build_object(${facts('served')}) end as repository,
    case when host.id is not null then jsonb_build_object(${facts('host')}) end as host,
    case when named.id is not null then jsonb_build_object(${facts('named')}) end as named
  from ${wanted}
  left join lateral (
    select *
    from object
    where kind = 'distribution' and object.name = wanted.name
    order by told_at desc
    limit 1) as place on true
  left join object as served on served.id = place.repository_id
  left join lateral (
    select *
    from object
    where kind = 'distribution'
      and repository_id is null
      and case
        when place.id is null then starts_with(wanted.name, object.name || '/')
        else object.id = place.via_id
      end
    order by length(object.name) desc
    limit 1) as host on true
  left join lateral (
    select *
    from object
    where place.id is null and kind = 'repository' and object.name = wanted.name
    order by told_at desc
    limit 1) as named on true`

// A plan is kept for one name, as clients mostly send, and made anew for each number of them.
const servedAtOne = servedAt('(select $1::text as name) as wanted')
const servedAtMany = servedAt('unnest($1::text[]) as wanted (name)')

/** What is served under base paths, as far as auth has heard of it. */
export async function findServed(sql: Sql, basePaths: readonly string[]): Promise<Map<string, Served>> {
  if (basePaths.length === 0) return new Map()
  const rows =
    basePaths.length === 1
      ? await sql.prepared<Row>('served-at', servedAtOne, basePaths)
      : await sql.query<Row>(servedAtMany, [basePaths])
  return new Map(rows.map(({ basePath, ...row }) => [basePath, toServed(row)]))
}

function toServed({ distribution, repository, host, named }: Omit<Row, 'basePath'>): Served {
  const repositoryId = distribution?.repositoryId
  return {
    ...(distribution ? { distribution } : {}),
    ...(repositoryId ? { repository: { kind: 'repository', name: '', id: repositoryId, ...repository } } : {}),
    ...(host ? { host } : {}),
    ...(named ? { named } : {}),
  }
}
