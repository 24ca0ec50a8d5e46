import { authEvents, recordEvents } from '@berth/bus'
import type { Actor, Database, Transaction } from '@berth/service'
import { endWhatWasIssued } from './end-what-was-issued.ts'

type Change = { id: string; passwordHash: string; actor: Actor }

/** Sets a password and ends everything that was issued before it: remembered logins, refresh tokens, API tokens. */
export async function changePassword(db: Database, { id, passwordHash, actor }: Change): Promise<void> {
  await db.transaction(async (sql) => {
    const name = await setPassword(sql, id, passwordHash)
    if (name !== undefined) await recordEvents(sql, [{ kind: authEvents.userUpdated, data: { id, name }, actor }])
  })
}

/** As `changePassword`, as a part of a change; answers the name of the user, if there is one. */
export async function setPassword(sql: Transaction, id: string, passwordHash: string): Promise<string | undefined> {
  const [account] = await sql.query<{ name: string }>(
    `update account
     set password_hash = $2
     where id = $1
     returning name`,
    [id, passwordHash],
  )
  if (account) await endWhatWasIssued(sql, id)
  return account?.name
}
