import { authEvents, recordEvents } from '@berth/bus'
import { type Database, notFound, Problem } from '@berth/service'

/** Deletes an account with its refresh tokens; its tokens open the API no more at once. 409 for the last administrator. */
export async function deleteUser(db: Database, user: { id: string; name: string }, actor: string): Promise<void> {
  await db.transaction(async (sql) => {
    // All administrators are locked, in one order, so that two who delete each other do not both succeed.
    const admins = await sql.query<{ id: string }>(`
      select id
      from account
      where is_admin
      order by id
      for update`)
    if (admins.length === 1 && admins[0]?.id === user.id)
      throw new Problem(409, 'last_admin', `"${user.name}" is the last administrator.`, {
        hint: 'Make another user an administrator first.',
      })
    const [gone] = await sql.query('delete from account where id = $1 returning id', [user.id])
    if (!gone) throw notFound('user', user.name)
    await recordEvents(sql, [{ kind: authEvents.userDeleted, data: { id: user.id, name: user.name }, actor }])
  })
}
