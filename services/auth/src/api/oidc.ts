import { randomBytes } from 'node:crypto'
import {
  badField,
  clientAddress,
  type Database,
  type Handlers,
  originOf,
  Problem,
  readPage,
  type Sealer,
  sessionCookie,
  sessionSecretIn,
  toPage,
} from '@berth/service'
import { LRUCache } from 'lru-cache'
import { findProvider, listProviders, type Provider } from '../identity-providers/provider.ts'
import type { Issuers } from '../issuers/issuers.ts'
import { accountOfPerson } from '../oidc/account-of.ts'
import { readPerson } from '../oidc/claims.ts'
import { createOidcClient } from '../oidc/client.ts'
import {
  clearedStateCookie,
  isOwnPath,
  type LoginState,
  loginSeconds,
  readState,
  stateCookie,
} from '../oidc/login-state.ts'
import type { operations } from '../openapi-types.ts'
import { createTurns } from '../passwords/turns.ts'
import { openSession } from '../sessions/session.ts'

type Deps = { db: Database; sealer: Sealer; issuers: Issuers; externalUrl: string | undefined }

// A provider that hangs must not have us hold any number of requests, nor keep out people of others.
const atOnce = { runsAtOnce: 20, mostWaiting: 100 }
const mostProviders = 100

/** The two ends of a login through a provider: the browser goes there, and comes back. */
export function oidcHandlers({ db, sealer, issuers, externalUrl }: Deps) {
  const client = createOidcClient(issuers, sealer)
  const turns = new LRUCache<string, ReturnType<typeof createTurns>>({ max: mostProviders })
  const turnsOf = (providerId: string) => {
    const known = turns.get(providerId) ?? createTurns(atOnce)
    turns.set(providerId, known)
    return known
  }
  return {
    listOidcLogins: async ({ query }) => {
      const page = readPage(query)
      const rows = await listProviders(db, page)
      const show = ({ name }: Provider) => ({ name, loginPath: `/api/v1/oidc/${encodeURIComponent(name)}/login` })
      return { status: 200, body: toPage(rows, page, (row) => row.name, show) }
    },
    beginOidcLogin: async ({ params, query, response }) => {
      const { returnTo = '/' } = query
      if (!isOwnPath(returnTo))
        throw badField('returnTo', 'is no path of Berth', 'It begins with one slash and has no host: /repositories.')
      const provider = await findProvider(db, params.provider)
      const origin = originOf(response.req, externalUrl)
      const state: LoginState = {
        providerId: provider.id,
        redirectUri: `${origin}/api/v1/oidc/${encodeURIComponent(provider.name)}/callback`,
        state: random(),
        nonce: random(),
        verifier: random(),
        returnTo,
        endsAt: Date.now() + loginSeconds * 1_000,
      }
      const url = await turnsOf(provider.id)(() => client.loginUrl(provider, state))
      return {
        status: 302,
        headers: { ...notStored, location: url.href, 'set-cookie': stateCookie(state, sealer, origin) },
      }
    },
    endOidcLogin: async ({ params, response }) => {
      const { req } = response
      const origin = originOf(req, externalUrl)
      const state = readState(req, sealer)
      const provider = await findProvider(db, params.provider)
      const query = new URL(req.url ?? '', 'http://localhost').searchParams
      // Another browser began it, or it was begun at another provider: whose login this is, is not for this one to end.
      if (state?.providerId !== provider.id || query.get('state') !== state.state) throw notBegunHere()
      const claims = await turnsOf(provider.id)(() => client.finish(provider, state, query))
      const account = await accountOfPerson(db, provider, readPerson(provider, claims))
      const from = { address: clientAddress(req), userAgent: req.headers['user-agent'] }
      const secret = await openSession(db, account, from, sessionSecretIn(req))
      if (secret === undefined) throw notBegunHere()
      response.append('set-cookie', clearedStateCookie(origin))
      response.append('set-cookie', sessionCookie(secret, origin))
      return { status: 302, headers: { ...notStored, location: state.returnTo } }
    },
  } satisfies Partial<Handlers<operations>>
}

const notStored = { 'cache-control': 'no-store' }

function random(): string {
  return randomBytes(32).toString('base64url')
}

function notBegunHere(): Problem {
  return new Problem(403, 'login_not_begun', 'This login was not begun in this browser, or too long ago.', {
    hint: 'Begin again, in one browser: a login waits ten minutes, and the browser has to keep its cookie.',
  })
}
