import type { Digest } from '@berth/oci'
import { type Database, Problem, type Sql } from '@berth/service'

/** The moment at which upstream is asked, as `refuseOvertaken` wants it. */
export async function nextOrder(db: Database): Promise<number> {
  const [row] = await db.prepared<{ asked: number }>('next-pull-order', `select nextval('pull_order') as asked`, [])
  return row?.asked ?? 0
}

/**
 * Notes that what upstream answered about a tag is what the repository has. Its row is held, so the tag is not moved meanwhile.
 */
export async function noteAnswer(sql: Sql, repositoryId: string, tag: string): Promise<void> {
  await sql.prepared(
    'note-answer',
    `insert into pulled_tag (repository_id, name, answered) values ($1, $2, nextval('pull_order'))
     on conflict (repository_id, name) do update set answered = excluded.answered`,
    [repositoryId, tag],
  )
}

/**
 * Refuses to move a tag to what upstream said to a request that came before one whose answer was taken over: it may be the older
 * one. Throws 409 `overtaken`: the caller has to ask upstream again. The repository's row is held.
 */
export async function refuseOvertaken(
  sql: Sql,
  { repositoryId, tag, asked }: { repositoryId: string; tag: { name: string; digest: Digest }; asked: number },
): Promise<void> {
  const [later] = await sql.query(
    `select 1
     from pulled_tag as answer
     where answer.repository_id = $1
       and answer.name = $2
       and answer.answered > $3
       and not exists (
         select
         from tag_interval as tag
         where tag.repository_id = $1
           and tag.name = $2
           and tag.digest = $4
           and tag.until is null)`,
    [repositoryId, tag.name, asked, tag.digest],
  )
  if (later)
    throw new Problem(409, 'overtaken', `Somebody asked upstream about the tag "${tag.name}" meanwhile; ask again.`)
  await noteAnswer(sql, repositoryId, tag.name)
}
