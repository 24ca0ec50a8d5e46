import { randomUUID } from 'node:crypto'
import { type Database, type Logger, StartupError } from '@berth/service'
import { takeName } from '../holders/holder.ts'
import { generatePassword, type Passwords } from '../passwords/passwords.ts'
import { weaknessOf } from '../passwords/weakness.ts'
import { changePassword } from './change-password.ts'
import { insertAccount } from './create-user.ts'

/** The account that the first start makes. */
const firstAdmin = 'admin'
const leastCharacters = 12

type Given = { adminPassword: string | undefined; adminFirstPassword: string | undefined }

const variableOf = (given: string | undefined) =>
  given === undefined ? 'BERTH_ADMIN_FIRST_PASSWORD' : 'BERTH_ADMIN_PASSWORD'

/**
 * Makes the first administrator when there is no account, with BERTH_ADMIN_FIRST_PASSWORD if that is set, and sets its password when BERTH_ADMIN_PASSWORD is another than
 * the stored one. Answers the password that was generated, if one was: it is stored nowhere, so it must be shown now. (Killed
 * in between, it was never seen; BERTH_ADMIN_PASSWORD then sets one.) Of replicas that start at once, one makes it. Where the
 * account was deleted the variable makes it again only if no administrator is left; else it has no effect, which the log says.
 */
export async function ensureAdmin(
  { db, log }: { db: Database; log: Logger },
  passwords: Passwords,
  { adminPassword: given, adminFirstPassword: first }: Given,
): Promise<string | undefined> {
  const [some] = await db.query('select from account limit 1')
  if (!some) {
    const isMade = (given ?? first) === undefined
    const password = strongEnough(given ?? first ?? generatePassword(), variableOf(given))
    // One that others have seen, in the log or in a file, is to be changed.
    if (await insertAdmin(db, await passwords.hash(password), given === undefined)) return isMade ? password : undefined
  }
  if (given === undefined || (await setAdminPassword(db, passwords, given))) return undefined
  if (await insertAdmin(db, await passwords.hash(strongEnough(given, variableOf(given))), false))
    log.warn('there was no administrator; the account is made again', { account: firstAdmin })
  else
    log.warn('BERTH_ADMIN_PASSWORD has no effect: the account was deleted, and others administer', {
      account: firstAdmin,
    })
  return undefined
}

/** What new passwords have to be, as the API has it; one that is stored already stays good. */
function strongEnough(password: string, variable: string): string {
  const weakness =
    Array.from(password).length < leastCharacters
      ? `has fewer than ${leastCharacters} characters`
      : weaknessOf(password, firstAdmin)
  if (weakness === undefined) return password
  throw new StartupError(
    `${variable} ${weakness}`,
    'choose another one, or leave it out and take the one that the first start makes',
  )
}

/** Makes the account when there is no administrator. Answers whether it did. */
async function insertAdmin(db: Database, passwordHash: string, mustChangePassword: boolean): Promise<boolean> {
  return db.transaction(async (sql) => {
    await sql.query("select pg_advisory_xact_lock(hashtextextended('berth first admin', 0))")
    const [some] = await sql.query('select from account where is_admin and is_active')
    const id = randomUUID()
    if (some || !(await takeName(sql, { id, kind: 'user', name: firstAdmin }))) return false
    await insertAccount(sql, { id, name: firstAdmin, passwordHash, isAdmin: true, mustChangePassword })
    return true
  })
}

/** Answers whether there is such an account. */
async function setAdminPassword(db: Database, passwords: Passwords, given: string): Promise<boolean> {
  const [admin] = await db.query<{ id: string; passwordHash: string | null }>(
    'select id, password_hash as "passwordHash" from account where name = $1',
    [firstAdmin],
  )
  if (!admin) return false
  if (!(await passwords.matches(given, admin.passwordHash ?? undefined)))
    await changePassword(db, {
      id: admin.id,
      passwordHash: await passwords.hash(strongEnough(given, variableOf(given))),
      actor: { id: admin.id, name: firstAdmin },
    })
  return true
}
