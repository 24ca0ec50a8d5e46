import {
  clientAddress,
  type Database,
  type Handlers,
  Problem,
  readPage,
  sessionSecretIn,
  toPage,
  withAudit,
} from '@berth/service'
import { parseAuthorization } from '@berth/tokens'
import { readScopes } from '../access/limit-scopes.ts'
import type { Account } from '../accounts/account.ts'
import type { Authenticate } from '../login/identify.ts'
import type { operations } from '../openapi-types.ts'
import {
  createPersonalToken,
  deletePersonalToken,
  listPersonalTokens,
  showPersonalToken,
} from '../personal-tokens/personal-token.ts'
import { readEnd } from '../robots/robot.ts'
import { accountOfSession } from '../sessions/session.ts'
import { refreshTokenUser } from '../tokens/refresh-tokens.ts'

type Request = Parameters<typeof clientAddress>[0]

/** The API of personal tokens: what a person gives to its programs instead of the password. */
export function personalTokenHandlers(db: Database, authenticate: Authenticate) {
  return {
    createToken: async ({ body, response }) => {
      const { name, expiresAt = null, scopes = null } = body
      if (scopes) readScopes('scopes', scopes)
      const end = readEnd(expiresAt)
      // That a login was used is noted beside it, and is not what is asked for.
      const account = await withAudit(undefined, () => whoMakesTokens(response.req))
      const { token, secret } = await createPersonalToken(db, account, { name, scopes, expiresAt: end })
      return {
        status: 201,
        headers: { location: `/api/v1/me/tokens/${token.id}`, 'cache-control': 'no-store' },
        body: { ...showPersonalToken(token), secret },
      }
    },
    listTokens: async ({ query, principal }) => {
      const page = readPage(query)
      const rows = await listPersonalTokens(db, principal.id, page)
      return { status: 200, body: toPage(rows, page, (row) => row.name, showPersonalToken) }
    },
    deleteToken: async ({ params, principal }) => {
      await deletePersonalToken(db, principal, params.token)
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>

  // A token must not beget another: it would outlive its end and its deletion.
  async function whoMakesTokens(request: Request): Promise<Account> {
    const { authorization } = request.headers
    const session = sessionSecretIn(request)
    if (session !== undefined) {
      const account = await accountOfSession(db, session)
      if (account) return account
    }
    const credentials = parseAuthorization(authorization)
    const isOwn = credentials?.kind === 'basic' && credentials.username !== refreshTokenUser
    const account = authorization && isOwn ? await authenticate(authorization, clientAddress(request)) : undefined
    if (account?.kind === 'user' && !account.pass) return account
    throw new Problem(
      403,
      'own_login_required',
      'Personal tokens are made by people, with their password or in a session.',
      {
        hint: 'Send Basic credentials with the password. A program without a person is a robot: POST /api/v1/robots.',
      },
    )
  }
}
