/**
 * SQL for the versions of a repository that are known: those that are there, and deleted ones as long as history is kept
 * (docs/decisions/0044). `where` and what follows it is said of both, so that each is looked up by its own index.
 */
export function knownVersions(repository: string, where: string, orderAndLimit = ''): string {
  const from = (table: string) => `(
    select number, cause, created_at, created_by, created_by_id
    from ${table}
    where repository_id = ${repository}
      and ${where}
    ${orderAndLimit})`
  return `(select * from (${from('version')} union all ${from('version_history')}) as known ${orderAndLimit})`
}

/**
 * SQL for the number of the version that was the latest of a repository at a time; null: none that is known. It says `number >= 0`
 * because the indexes on times are for queries that do.
 */
export function latestAt(repository: string, time: string): string {
  const newest = knownVersions(repository, `number >= 0 and created_at <= ${time}`, 'order by created_at desc limit 1')
  return `(select number from ${newest} as latest)`
}

/** SQL for the first version of a repository that is known from a number on: the next one, but for what went before there was history. */
export function firstFrom(repository: string, number: string): string {
  return knownVersions(repository, `number >= ${number}`, 'order by number limit 1')
}

/** SQL for `latestAt`; null too where those that came next are not known, so that another may have been the latest. */
export function surelyLatestAt(repository: string, time: string): string {
  return `(
    select found.number
    from (select ${latestAt(repository, time)} as number) as found
    left join lateral ${firstFrom(repository, 'found.number + 1')} as next on true
    where next.number is null or next.number = found.number + 1)`
}

/** SQL for a time of the database as the API says it, to the microsecond: the versions of a busy repository have one each. */
export function exactTime(time: string): string {
  return `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
}
