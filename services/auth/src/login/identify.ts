import { type Database, type Identify, Problem } from '@berth/service'
import { loginIn, parseAuthorization } from '@berth/tokens'
import { type Account, accountById } from '../accounts/account.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import { accountOfSession } from '../sessions/session.ts'
import { findRefreshToken, refreshTokenUser } from '../tokens/refresh-tokens.ts'
import type { CheckLogin } from './check-login.ts'
import { isPassGood } from './passes.ts'
import { openToApi, principalOf } from './principal.ts'

/** Reads an `Authorization` header; `undefined` when it is not right. */
export type Authenticate = (authorization: string, ip: string) => Promise<Account | undefined>

const refreshAtMostEveryMs = 2_000

/**
 * Tells who sends credentials: a name and what is good as its password (`CheckLogin`), `<token>` and a refresh token, or an access token of
 * ours. A token opens the API only while its account is as it was at its issue, so what is taken away ends at once
 * (docs/guarantees.md, P7).
 */
export function createAuthenticate(db: Database, keys: () => KeyRing, checkLogin: CheckLogin): Authenticate {
  let refreshedAt = 0
  const verify = async (token: string) => {
    const claims = keys().check.verify(token)
    if (claims || performance.now() - refreshedAt < refreshAtMostEveryMs) return claims
    // Another replica may have rotated the keys since we read them.
    refreshedAt = performance.now()
    await keys().refresh()
    return keys().check.verify(token)
  }
  return async (authorization, ip) => {
    const credentials = parseAuthorization(authorization)
    if (!credentials) return undefined
    if (credentials.kind === 'basic') {
      const { username, password } = credentials
      if (username === refreshTokenUser) return findRefreshToken(db, password)
      return checkLogin(username, password, ip)
    }
    const claims = await verify(credentials.token)
    // A token for certain repositories is in the hands of docker and its like; it must not open the whole API.
    if (!claims?.api || !claims.account) return undefined
    if (claims.passId !== undefined && !(await isPassGood(db, claims.passId))) return undefined
    const account = await accountById(db, claims.account.id)
    return account?.sessionEpoch === claims.account.epoch ? account : undefined
  }
}

/** Who asks the API, by what it sends or by a session. Throws 403 for what opens only `/v2`. */
export async function whoAsks(
  db: Database,
  authenticate: Authenticate,
  sent: { authorization?: string | undefined; session?: string | undefined; ip: string },
): Promise<Account | undefined> {
  const { authorization, session, ip } = sent
  if (authorization === undefined) return session === undefined ? undefined : accountOfSession(db, session)
  const account = await authenticate(authorization, ip)
  if (account) openToApi(account)
  return account
}

/** How auth's own API learns who calls: as `identifyThrough` of the other services, without the way over HTTP. */
export function identifyLocally(db: Database, authenticate: Authenticate): Identify {
  return async (header, { ip, session }) => {
    const authorization = loginIn(header)
    const account = await whoAsks(db, authenticate, { authorization, session, ip })
    if (account) return principalOf(db, account)
    // A session that has ended is of no more use than none.
    if (authorization === undefined) return undefined
    throw new Problem(401, 'bad_credentials', 'These credentials are not right, or have expired.', {
      hint: 'Check the user name and the password, or ask for a new token.',
      headers: { 'www-authenticate': 'Basic realm="berth"' },
    })
  }
}
