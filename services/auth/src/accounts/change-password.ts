import { authEvents, recordEvents } from '@berth/bus'
import type { Actor, Database, Transaction } from '@berth/service'
import { endWhatWasIssued } from './end-what-was-issued.ts'

type Change = { id: string; passwordHash: string; actor: Actor; keptSession?: Buffer | undefined }

/** Sets the own password of a user and ends everything that was issued before it, but for the session that does it. */
export async function changePassword(db: Database, { id, passwordHash, actor, keptSession }: Change): Promise<void> {
  await db.transaction(async (sql) => {
    const name = await setPassword(sql, id, { passwordHash, mustChange: false, keptSession })
    if (name !== undefined) await recordEvents(sql, [{ kind: authEvents.userUpdated, data: { id, name }, actor }])
  })
}

type NewPassword = {
  passwordHash: string
  /** Whether somebody else knows it, so that the console asks for another one. */
  mustChange: boolean
  keptSession?: Buffer | undefined
}

/** As `changePassword`, as a part of a change; answers the name of the user, if there is one. */
export async function setPassword(
  sql: Transaction,
  id: string,
  { passwordHash, mustChange, keptSession }: NewPassword,
): Promise<string | undefined> {
  const [account] = await sql.query<{ name: string }>(
    `update account
     set password_hash = $2, must_change_password = $3
     where id = $1
     returning name`,
    [id, passwordHash, mustChange],
  )
  if (account) await endWhatWasIssued(sql, id, keptSession)
  return account?.name
}
