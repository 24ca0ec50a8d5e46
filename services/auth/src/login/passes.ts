import { isUuid, type Sql } from '@berth/service'

/** Whether a personal token or a trust is still there, which access tokens were given out for. */
export async function isPassGood(sql: Sql, id: string): Promise<boolean> {
  if (!isUuid(id)) return false
  const [row] = await sql.prepared(
    'pass-is-good',
    `select
     from personal_token
     where id = $1
       and (expires_at is null or expires_at > now())
     union all
     select
     from trust
     where id = $1`,
    [id],
  )
  return row !== undefined
}
