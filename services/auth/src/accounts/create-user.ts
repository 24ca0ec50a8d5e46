import { randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import type { Actor, Database, Transaction } from '@berth/service'
import { insertHolder } from '../holders/holder.ts'

export type NewUser = {
  name: string
  isAdmin: boolean
  /** Absent: it logs in through a provider only. */
  passwordHash?: string
  mustChangePassword: boolean
  external?: External
}
/** Who a user is for a provider. */
export type External = { issuer: string; subject: string }
export type UserRow = {
  id: string
  name: string
  isAdmin: boolean
  isActive: boolean
  mustChangePassword: boolean
  issuer: string | null
  subject: string | null
  createdAt: Date
}

/** Makes a user. Throws 409 when its name is taken. */
export async function createUser(db: Database, user: NewUser, actor: Actor): Promise<UserRow> {
  return db.transaction(async (sql) => {
    const id = randomUUID()
    await insertHolder(sql, { id, kind: 'user', name: user.name })
    return insertAccount(sql, { id, ...user }, actor)
  })
}

/** Makes the account of a user whose name is taken for it already. */
export async function insertAccount(
  sql: Transaction,
  { id, name, isAdmin, passwordHash, mustChangePassword, external }: NewUser & { id: string },
  actor?: Actor,
): Promise<UserRow> {
  const [row] = await sql.query<UserRow>(
    `insert into account (id, name, password_hash, is_admin, must_change_password, issuer, subject, issuer_login_at)
     values ($1, $2, $3, $4, $5, $6, $7, case when $6::text is null then null else now() end)
     returning id, name, is_admin as "isAdmin", is_active as "isActive", must_change_password as "mustChangePassword",
       issuer, subject, created_at as "createdAt"`,
    [id, name, passwordHash ?? null, isAdmin, mustChangePassword, external?.issuer ?? null, external?.subject ?? null],
  )
  if (!row) throw new Error('an insert answered no row')
  await recordEvents(sql, [{ kind: authEvents.userCreated, data: { id, name }, ...(actor ? { actor } : {}) }])
  return row
}
