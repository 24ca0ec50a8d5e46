import { randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import {
  clientAddress,
  type Database,
  type Handlers,
  isUuid,
  notFound,
  Problem,
  readPage,
  sqlState,
  toPage,
} from '@berth/service'
import { changePassword } from '../accounts/change-password.ts'
import { deleteUser } from '../accounts/delete-user.ts'
import type { Prisma } from '../db/client.ts'
import type { CheckPassword } from '../login/check-password.ts'
import type { operations } from '../openapi-types.ts'
import type { Passwords } from '../passwords/passwords.ts'

type UserRow = { id: string; name: string; isAdmin: boolean; createdAt: Date }

function showUser({ id, name, isAdmin, createdAt }: UserRow) {
  return { id, name, admin: isAdmin, createdAt: createdAt.toISOString() }
}

type Deps = { db: Database; prisma: Prisma; passwords: Passwords; checkPassword: CheckPassword }

/** The API of accounts. */
export function accountHandlers({ db, prisma, passwords, checkPassword }: Deps) {
  const find = async (idOrName: string): Promise<UserRow> => {
    const row = await prisma.account.findFirst({ where: isUuid(idOrName) ? { id: idOrName } : { name: idOrName } })
    if (!row) throw notFound('user', idOrName)
    return row
  }
  return {
    showMe: async ({ principal: { name, admin } }) => ({ status: 200, body: { name, admin } }),
    updateMe: async ({ body, principal, response }) => {
      const { password, currentPassword } = body
      const account = await checkPassword(principal.name, currentPassword, clientAddress(response.req))
      if (!account)
        throw new Problem(403, 'wrong_password', 'currentPassword is not your password.', { field: 'currentPassword' })
      await changePassword(db, {
        id: account.id,
        passwordHash: await passwords.hash(password),
        actor: principal.name,
      })
      return { status: 200, body: { name: principal.name, admin: principal.admin } }
    },
    listUsers: async ({ query }) => {
      const page = readPage(query)
      const rows = await prisma.account.findMany({
        where: {
          name: {
            ...(page.after === undefined ? {} : { gt: page.after }),
            ...(typeof query.q === 'string' ? { contains: query.q } : {}),
          },
        },
        orderBy: { name: 'asc' },
        take: page.limit + 1,
      })
      return { status: 200, body: toPage(rows, page, (row) => row.name, showUser) }
    },
    createUser: async ({ body, principal }) => {
      const { name, password, admin = false } = body
      const user = { name, isAdmin: admin, passwordHash: await passwords.hash(password) }
      const row = await createUser(db, user, principal.name)
      return { status: 201, headers: { location: `/api/v1/users/${row.id}` }, body: showUser(row) }
    },
    showUser: async ({ params }) => ({ status: 200, body: showUser(await find(params.user)) }),
    updateUser: async ({ params, body, principal }) => {
      const user = await find(params.user)
      const { password } = body
      await changePassword(db, { id: user.id, passwordHash: await passwords.hash(password), actor: principal.name })
      return { status: 200, body: showUser(user) }
    },
    deleteUser: async ({ params, principal }) => {
      await deleteUser(db, await find(params.user), principal.name)
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

async function createUser(
  db: Database,
  user: { name: string; isAdmin: boolean; passwordHash: string },
  actor: string,
): Promise<UserRow> {
  try {
    return await db.transaction(async (sql) => {
      const [row] = await sql.query<UserRow>(
        `insert into account (id, name, password_hash, is_admin) values ($1, $2, $3, $4)
         returning id, name, is_admin as "isAdmin", created_at as "createdAt"`,
        [randomUUID(), user.name, user.passwordHash, user.isAdmin],
      )
      if (!row) throw new Error('an insert answered no row')
      await recordEvents(sql, [{ kind: authEvents.userCreated, data: { id: row.id, name: row.name }, actor }])
      return row
    })
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    throw new Problem(409, 'name_taken', `There is a user "${user.name}" already.`, { field: 'name', cause: error })
  }
}
