import type { Sql } from '@berth/service'

/**
 * Reads by the numbers of versions of a repository: `read` is given the numbers under which their content is to be found. That
 * of a version which is written out meanwhile is where it was, unless the other version was deleted then: so it is read again.
 */
export async function readingAt<T>(
  sql: Sql,
  repositoryId: string,
  numbers: readonly number[],
  read: (at: readonly number[]) => Promise<T>,
): Promise<T> {
  const at = await placesOf(sql, repositoryId, numbers)
  const found = await read(at)
  const isWhereItWas = at.every((place, i) => place === numbers[i])
  if (isWhereItWas || String(await placesOf(sql, repositoryId, numbers)) === String(at)) return found
  return read(numbers)
}

async function placesOf(sql: Sql, repositoryId: string, numbers: readonly number[]): Promise<readonly number[]> {
  const [waiting] = await sql.prepared<{ latest: number; contentOf: number }>(
    'content-of-latest',
    `select latest_version as latest, content_of as "contentOf"
     from repository
     where id = $1
       and content_of is not null`,
    [repositoryId],
  )
  return waiting ? numbers.map((one) => (one === waiting.latest ? waiting.contentOf : one)) : numbers
}
