import { authEvents, recordEvents } from '@berth/bus'
import type { Database } from '@berth/service'

/** Sets a password and ends everything that was issued before it: remembered logins, refresh tokens, API tokens. */
export async function changePassword(
  db: Database,
  change: { id: string; passwordHash: string; actor: string },
): Promise<void> {
  await db.transaction(async (sql) => {
    const [account] = await sql.query<{ name: string }>(
      `update account
       set password_hash = $2, session_epoch = session_epoch + 1
       where id = $1
       returning name`,
      [change.id, change.passwordHash],
    )
    if (!account) return
    await sql.query('delete from refresh_token where account = $1', [change.id])
    await recordEvents(sql, [
      { kind: authEvents.userUpdated, data: { id: change.id, name: account.name }, actor: change.actor },
    ])
  })
}
