import type { CommandClient, TasksCommands } from '@berth/commands'
import {
  actorOf,
  badField,
  clientAddress,
  type Database,
  type Handlers,
  isUuid,
  notFound,
  Problem,
  readPage,
  sessionSecretIn,
  toPage,
} from '@berth/service'
import { changePassword } from '../accounts/change-password.ts'
import { changeUser } from '../accounts/change-user.ts'
import { createUser, type UserRow } from '../accounts/create-user.ts'
import { deleteUser } from '../accounts/delete-user.ts'
import { freeOfSchedules } from '../accounts/free-of-schedules.ts'
import type { Prisma } from '../db/client.ts'
import { findProvider } from '../identity-providers/provider.ts'
import type { CheckPassword } from '../login/check-password.ts'
import type { operations } from '../openapi-types.ts'
import type { Passwords } from '../passwords/passwords.ts'
import { refuseWeak } from '../passwords/weakness.ts'
import { hashOfSession } from '../sessions/session.ts'

function showUser({ id, name, isAdmin, isActive, mustChangePassword, issuer, subject, createdAt }: UserRow) {
  const external = issuer === null || subject === null ? null : { issuer, subject }
  return {
    id,
    name,
    admin: isAdmin,
    active: isActive,
    mustChangePassword,
    external,
    createdAt: createdAt.toISOString(),
  }
}

type Deps = {
  db: Database
  prisma: Prisma
  passwords: Passwords
  checkPassword: CheckPassword
  tasks: CommandClient<TasksCommands>
}

/** The API of accounts. */
export function accountHandlers({ db, prisma, passwords, checkPassword, tasks }: Deps) {
  const find = async (idOrName: string): Promise<UserRow> => {
    const row = await prisma.account.findFirst({ where: isUuid(idOrName) ? { id: idOrName } : { name: idOrName } })
    if (!row) throw notFound('user', idOrName)
    return row
  }
  return {
    showMe: async ({ principal: { name, admin } }) => ({ status: 200, body: { name, admin } }),
    updateMe: async ({ body, principal, response }) => {
      const { password, currentPassword } = body
      if (principal.robot)
        throw new Problem(403, 'no_password', 'A robot has a secret and no password.', {
          hint: 'POST /api/v1/robots/{robot}/rotate gives it another secret.',
        })
      await refuseWithoutPassword(db, principal.id)
      const account = await checkPassword(principal.name, currentPassword, clientAddress(response.req))
      // The name may be that of another account since the caller was recognised.
      if (account?.id !== principal.id)
        throw new Problem(403, 'wrong_password', 'currentPassword is not your password.', { field: 'currentPassword' })
      refuseWeak(password, principal.name)
      if (password === currentPassword)
        throw badField('password', 'is the one that you have', 'Choose another one: whoever knew it would still.')
      const session = sessionSecretIn(response.req)
      await changePassword(db, {
        id: account.id,
        passwordHash: await passwords.hash(password),
        actor: actorOf(principal),
        keptSession: session === undefined ? undefined : hashOfSession(session),
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
      refuseWeak(password, name)
      const user = { name, isAdmin: admin, passwordHash: await passwords.hash(password), mustChangePassword: true }
      const row = await createUser(db, user, actorOf(principal))
      return { status: 201, headers: { location: `/api/v1/users/${row.id}` }, body: showUser(row) }
    },
    showUser: async ({ params }) => ({ status: 200, body: showUser(await find(params.user)) }),
    updateUser: async ({ params, body, principal }) => {
      const user = await find(params.user)
      const { password, admin, active, external: link } = body
      if (password !== undefined) refuseWeak(password, user.name)
      const passwordHash = password === undefined ? undefined : await passwords.hash(password)
      const mustChangePassword = principal.id !== user.id
      const external = link && { issuer: (await findProvider(db, link.provider)).issuer, subject: link.subject }
      const changes = { passwordHash, mustChangePassword, admin, active, external }
      await changeUser(db, user, changes, actorOf(principal))
      return { status: 200, body: showUser(await find(user.id)) }
    },
    deleteUser: async ({ params, query, principal, requestId }) => {
      const user = await find(params.user)
      const { transferTo } = query
      const mayManage = async () => true
      await freeOfSchedules({ db, tasks }, user, { transferTo, principal, requestId, mayManage })
      await deleteUser(db, user, actorOf(principal))
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

/** Who logs in through a provider only has no password to change. */
async function refuseWithoutPassword(db: Database, id: string): Promise<void> {
  const [row] = await db.query('select from account where id = $1 and password_hash is null', [id])
  if (row)
    throw new Problem(403, 'no_password', 'You log in through an identity provider, and have no password here.', {
      hint: 'Change it there. For docker make a personal token: POST /api/v1/me/tokens.',
    })
}
