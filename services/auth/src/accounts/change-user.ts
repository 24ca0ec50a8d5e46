import { authEvents, recordEvents } from '@berth/bus'
import { type Actor, badField, type Database, notFound, Problem, type Sql, sqlState } from '@berth/service'
import { setPassword } from './change-password.ts'
import type { External } from './create-user.ts'
import { endWhatWasIssued } from './end-what-was-issued.ts'
import { keepOneAdmin } from './last-admin.ts'

export type UserChange = {
  passwordHash?: string | undefined
  /** Whether the password is known to another than the user. */
  mustChangePassword?: boolean
  admin?: boolean | undefined
  active?: boolean | undefined
  /** Links it to somebody of a provider; null ends that. */
  external?: External | null | undefined
}

/**
 * Changes what an administrator may of a user. A new password, and the end of being active, end all that was issued before. 409 where
 * no administrator would be left who is active.
 */
export async function changeUser(
  db: Database,
  user: { id: string; name: string },
  { passwordHash, mustChangePassword = false, admin, active, external }: UserChange,
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
    if (external !== undefined) await link(sql, user, external)
    await recordEvents(sql, [{ kind: authEvents.userUpdated, data: { id, name }, actor }])
  })
}

/** What was issued to whoever logged in through the link before ends with it. Throws 409 where somebody else has it. */
async function link(sql: Sql, { id, name }: { id: string; name: string }, external: External | null): Promise<void> {
  try {
    const [linked] = await sql.query(
      `update account
       set issuer = $2, subject = $3, issuer_login_at = case when $2::text is null then null else now() end
       where id = $1
         and ($2::text is not null or password_hash is not null)
       returning id`,
      [id, external?.issuer ?? null, external?.subject ?? null],
    )
    if (!linked)
      throw badField('external', `is the only login that "${name}" has`, 'Set a password too, or active: false.')
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    throw new Problem(409, 'subject_taken', 'Another account has this subject of this provider.', {
      field: 'external.subject',
      hint: 'Delete that account first, or take the link from it.',
      cause: error,
    })
  }
  await endWhatWasIssued(sql, id)
}
