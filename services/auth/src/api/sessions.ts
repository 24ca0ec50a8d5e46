import {
  clearedSessionCookie,
  clientAddress,
  csrfTokenOf,
  type Database,
  type Handlers,
  isUuid,
  noteAudit,
  notFound,
  originOf,
  Problem,
  readPage,
  sessionCookie,
  sessionSecretIn,
  toPage,
} from '@berth/service'
import type { CheckPassword } from '../login/check-password.ts'
import type { operations } from '../openapi-types.ts'
import { endSessionOf, keyOfSession, listSessions, showSession } from '../sessions/list-sessions.ts'
import { endSession, findSession, openSession } from '../sessions/session.ts'

type Deps = { db: Database; checkPassword: CheckPassword; externalUrl: string | undefined }

/** The API of sessions: the login of the console, by a cookie. */
export function sessionHandlers({ db, checkPassword, externalUrl }: Deps) {
  return {
    openSession: async ({ body, response }) => {
      const { req } = response
      const account = await checkPassword(body.name, body.password, clientAddress(req))
      if (!account) throw wrongLogin()
      noteAudit({ actor: { id: account.id, name: account.name } })
      await refuseKnownPassword(db, account.id)
      const from = { address: clientAddress(req), userAgent: req.headers['user-agent'] }
      const secret = await openSession(db, account, from, sessionSecretIn(req))
      if (secret === undefined) throw wrongLogin()
      return {
        status: 201,
        headers: { 'set-cookie': sessionCookie(secret, originOf(req, externalUrl)), 'cache-control': 'no-store' },
        body: await showCurrent(secret, account.name),
      }
    },
    showSession: async ({ principal, response }) => {
      const secret = sessionSecretIn(response.req)
      if (secret === undefined) throw noSession()
      return {
        status: 200,
        headers: { 'cache-control': 'no-store' },
        body: await showCurrent(secret, principal.name),
      }
    },
    closeSession: async ({ response }) => {
      const secret = sessionSecretIn(response.req)
      if (secret === undefined) throw noSession()
      await endSession(db, secret)
      return { status: 204, headers: { 'set-cookie': clearedSessionCookie(originOf(response.req, externalUrl)) } }
    },
    listSessions: async ({ query, principal, response }) => {
      const page = readPage(query)
      const rows = await listSessions(db, principal.id, page, sessionSecretIn(response.req))
      const show = (row: (typeof rows)[number]) => ({ ...showSession(row), current: row.isCurrent })
      return { status: 200, body: toPage(rows, page, keyOfSession, show) }
    },
    deleteSession: async ({ params, principal }) => {
      if (!isUuid(params.session) || !(await endSessionOf(db, principal.id, params.session)))
        throw notFound('session', params.session)
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>

  async function showCurrent(secret: string, name: string) {
    const session = await findSession(db, secret)
    if (!session) throw noSession()
    return { name, csrfToken: csrfTokenOf(secret), ...showSession(session) }
  }
}

/** Refuses (403) a login with a password that somebody else knows too, before the console is of any use with it. */
async function refuseKnownPassword(db: Database, accountId: string): Promise<void> {
  const [row] = await db.query('select from account where id = $1 and must_change_password', [accountId])
  if (row)
    throw new Problem(403, 'password_change_required', 'Somebody else chose this password: choose another one first.', {
      hint: 'PATCH /api/v1/me with Basic credentials, {"currentPassword": …, "password": …}; then log in with the new one.',
    })
}

function wrongLogin(): Problem {
  return new Problem(401, 'bad_credentials', 'The user name or the password is not right.', {
    hint: 'Robots and personal tokens do not log in here: they go as Basic credentials with each request.',
  })
}

function noSession(): Problem {
  return new Problem(404, 'session_not_found', 'This request came without the cookie of a session.', {
    hint: 'POST /api/v1/sessions opens one.',
  })
}
