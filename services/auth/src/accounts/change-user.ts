import { authEvents, recordEvents } from '@berth/bus'
import { type Actor, type Database, notFound } from '@berth/service'
import { setPassword } from './change-password.ts'
import { endWhatWasIssued } from './end-what-was-issued.ts'
import { keepOneAdmin } from './last-admin.ts'

export type UserChange = {
  passwordHash?: string | undefined
  /** Whether the password is known to another than the user. */
  mustChangePassword?: boolean
  admin?: boolean | undefined
  active?: boolean | undefined
}

/**
 * Changes what an administrator may of a user. A new password, and the end of being active, end all that was issued before. 409 where
 * no administrator would be left who is active.
 */
export async function changeUser(
  db: Database,
  user: { id: string; name: string },
  { passwordHash, mustChangePassword = false, admin, active }: UserChange,
  actor: Actor,
): Promise<void> {
  const { id, name } = user
  await db.transaction(async (sql) => {
    if (admin === false || active === false) await keepOneAdmin(sql, user)
    const [changed] = await sql.query(
      `update account
       set is_admin = coalesce($2, is_admin), is_active = coalesce($3, is_active)
       where id = $1
       returning id`,
      [id, admin ?? null, active ?? null],
    )
    if (!changed) throw notFound('user', name)
    if (passwordHash !== undefined) await setPassword(sql, id, { passwordHash, mustChange: mustChangePassword })
    else if (active === false) await endWhatWasIssued(sql, id)
    await recordEvents(sql, [{ kind: authEvents.userUpdated, data: { id, name }, actor }])
  })
}
