import { authEvents, recordEvents } from '@berth/bus'
import { type Actor, type Database, notFound } from '@berth/service'
import { deleteHolder } from '../grants/remove-grants.ts'
import { keepOneAdmin } from './last-admin.ts'

/**
 * Deletes a user with its refresh tokens, its places in groups and what was granted to it; its tokens open the API no more at once. 409
 * for the last administrator.
 */
export async function deleteUser(db: Database, user: { id: string; name: string }, actor: Actor): Promise<void> {
  await db.transaction(async (sql) => {
    await keepOneAdmin(sql, user)
    if (!(await deleteHolder(sql, { ...user, kind: 'user' }, actor))) throw notFound('user', user.name)
    await recordEvents(sql, [{ kind: authEvents.userDeleted, data: { id: user.id, name: user.name }, actor }])
  })
}
