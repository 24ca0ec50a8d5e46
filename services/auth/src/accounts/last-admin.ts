import { Problem, type Sql } from '@berth/service'

/**
 * Refuses (409) that the last administrator goes, who is active. All of them are locked, in one order, so that two who take each other
 * away do not both succeed.
 */
export async function keepOneAdmin(sql: Sql, user: { id: string; name: string }): Promise<void> {
  const admins = await sql.query<{ id: string }>(`
    select id
    from account
    where is_admin and is_active
    order by id
    for update`)
  if (admins.length === 1 && admins[0]?.id === user.id)
    throw new Problem(409, 'last_admin', `"${user.name}" is the last administrator.`, {
      hint: 'Make another user an administrator first.',
    })
}
