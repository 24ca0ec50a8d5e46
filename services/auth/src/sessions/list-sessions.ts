import { type PageRequest, type Sql, timeAndIdAfter } from '@berth/service'
import { hashOfSession, isGoingOn, type Session, sessionColumns } from './session.ts'

export type ListedSession = Session & { isCurrent: boolean }

/** A page of the sessions of an account that go on, by when they began, and one more. `secret` is of the one that asks. */
export function listSessions(
  sql: Sql,
  accountId: string,
  page: PageRequest,
  secret: string | undefined,
): Promise<ListedSession[]> {
  const after = timeAndIdAfter(page)
  return sql.query<ListedSession>(
    `select ${sessionColumns}, hash is not distinct from $2 as "isCurrent"
     from session
     where account = $1
       and ${isGoingOn}
       and ($3::timestamptz is null or (date_trunc('milliseconds', session.created_at), id) > ($3, $4::uuid))
     order by date_trunc('milliseconds', session.created_at), id
     limit $5`,
    [
      accountId,
      secret === undefined ? null : hashOfSession(secret),
      after?.at ?? null,
      after?.id ?? null,
      page.limit + 1,
    ],
  )
}

/** What a page goes on after. */
export function keyOfSession({ createdAt, id }: Session): string {
  return `${createdAt.toISOString()} ${id}`
}

/** Ends one of the sessions of an account; answers whether there was one. */
export async function endSessionOf(sql: Sql, accountId: string, id: string): Promise<boolean> {
  const gone = await sql.query('delete from session where account = $1 and id = $2 returning id', [accountId, id])
  return gone.length > 0
}

export function showSession(session: Session) {
  const { id, createdAt, lastUsedAt, expiresAt, address, userAgent } = session
  return {
    id,
    createdAt: createdAt.toISOString(),
    lastUsedAt: lastUsedAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
    address,
    userAgent,
  }
}
