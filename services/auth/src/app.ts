import type { RequestListener } from 'node:http'
import { createHost } from '@berth/host'
import {
  actorOf,
  createSealer,
  deriveSecret,
  type Handlers,
  Problem,
  type Service,
  type ServiceParts,
} from '@berth/service'
import { ensureAdmin } from './accounts/first-admin.ts'
import { accessHandlers } from './api/access.ts'
import { accountHandlers } from './api/accounts.ts'
import { grantHandlers } from './api/grants.ts'
import { groupHandlers } from './api/groups.ts'
import { identityProviderHandlers } from './api/identity-providers.ts'
import { oidcHandlers } from './api/oidc.ts'
import { personalTokenHandlers } from './api/personal-tokens.ts'
import { robotHandlers } from './api/robots.ts'
import { roleHandlers } from './api/roles.ts'
import { sessionHandlers } from './api/sessions.ts'
import { createTokenEndpoint } from './api/token-endpoint.ts'
import { trustHandlers } from './api/trusts.ts'
import { authCommands } from './commands.ts'
import { type AuthConfig, peers } from './config.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'
import { askIsPublic, askOwnerOf, followObjects } from './following/follow-objects.ts'
import { resealProviders } from './identity-providers/reseal-providers.ts'
import { createIssuers } from './issuers/issuers.ts'
import { type KeyRing, openKeyRing, publicKeys } from './keys/key-ring.ts'
import { resealKeys } from './keys/reseal-keys.ts'
import { ensureKeys, rotateKeys } from './keys/rotate.ts'
import { createCheckLogin } from './login/check-login.ts'
import { createCheckPassword } from './login/check-password.ts'
import { countFailures } from './login/count-failures.ts'
import { createAuthenticate, identifyLocally } from './login/identify.ts'
import { createThrottle } from './login/throttle.ts'
import type { operations } from './openapi-types.ts'
import { createPasswords } from './passwords/passwords.ts'
import { prunePersonalTokens } from './personal-tokens/personal-token.ts'
import { tellExpiring } from './robots/tell-expiring.ts'
import { pruneSessions } from './sessions/session.ts'
import { pruneRefreshTokens } from './tokens/refresh-tokens.ts'
import { createLogInByTrust } from './trusts/log-in.ts'

const pruneEveryMs = 60_000

/** Auth, with the password that its first start generated, if it did; it is told once. */
export type Auth = Service & { firstPassword(): string | undefined }

/** Builds auth: accounts and what is granted to them, the docker token endpoint, the keys that tokens are signed with. */
export function createAuth(config: AuthConfig, parts: ServiceParts): Auth {
  const host = createHost({ name: 'auth', source: import.meta.url, schemaParts, config, peers, parts })
  const { db, log } = host
  const sealer = createSealer(config.secretsKey, config.secretsPreviousKeys)
  const passwords = createPasswords()
  const throttle = createThrottle(db)
  const secret = deriveSecret(config.servicePrivateKey, 'known logins')
  const counting = { denied: host.denied, metrics: parts.metrics }
  const checkPassword = countFailures(db, createCheckPassword(db, passwords, { throttle, secret }), counting)
  let ring: KeyRing | undefined
  const keys = () => {
    if (ring) return ring
    throw new Problem(503, 'starting', 'The auth service is starting.', { headers: { 'retry-after': '1' } })
  }
  const issuers = createIssuers(config)
  const trusts = createLogInByTrust(db, issuers, log)
  const externalDays = config.externalLoginDays
  const checkLogin = createCheckLogin(db, { checkPassword, trusts, externalDays })
  const authenticate = createAuthenticate(db, keys, checkLogin)
  const tokens = createTokenEndpoint({ db, keys, authenticate, checkLogin, trusts, log, metrics: parts.metrics })
  let firstPassword: string | undefined

  const service = host.service({
    public: {
      handlers: {
        ...accountHandlers({ db, prisma: openPrisma(db), passwords, checkPassword, tasks: host.peers.tasks }),
        ...sessionHandlers({ db, checkPassword, externalUrl: config.externalUrl }),
        ...personalTokenHandlers(db, authenticate),
        ...identityProviderHandlers({ db, sealer, issuers }),
        ...oidcHandlers({ db, sealer, issuers, externalUrl: config.externalUrl }),
        ...trustHandlers(db),
        ...groupHandlers(db),
        ...robotHandlers(db, host.peers.tasks),
        ...roleHandlers(db),
        ...grantHandlers(db, askOwnerOf(db, host.peers)),
        ...accessHandlers(db, askIsPublic(host.peers)),
        listKeys: async () => ({ status: 200, body: { keys: await publicKeys(db) } }),
        rotateKeys: async ({ principal }) => {
          const rotated = await rotateKeys(db, sealer, actorOf(principal))
          await keys().refresh()
          return { status: 200, body: rotated }
        },
      } satisfies Handlers<Omit<operations, 'getToken' | 'postToken' | 'exchangeToken'>>,
      identify: identifyLocally(db, authenticate),
      beside: (api) => routePublic(tokens, api),
    },
    commands: authCommands(db, authenticate),
    prepare: async ({ keep }) => {
      await ensureKeys(db, sealer)
      const { resealed } = await resealKeys(db, sealer)
      if (resealed > 0) log.info('signing keys are sealed under the present BERTH_SECRETS_KEY', { resealed })
      await resealProviders(db, sealer, log)
      const opened = keep('keys', await openKeyRing(db, sealer, log))
      firstPassword = await ensureAdmin({ db, log }, passwords, config)
      ring = opened
    },
    start: async (running) => {
      followObjects(db, host.peers, running)
      const prune = async () => {
        await throttle.prune()
        await pruneRefreshTokens(db.background)
        await pruneSessions(db.background)
        await prunePersonalTokens(db.background)
        await tellExpiring(db.background)
      }
      running.loop('pruning', { everyMs: pruneEveryMs, failure: 'pruning will be tried again', run: prune })
    },
    unready: () => (ring ? undefined : 'the signing keys are not open yet'),
  })
  return {
    ...service,
    firstPassword: () => {
      const password = firstPassword
      firstPassword = undefined
      return password
    },
  }
}

/** `/token` is no part of the JSON API: other bodies, other errors. */
function routePublic(tokens: RequestListener, api: RequestListener): RequestListener {
  return (request, response) => {
    const path = request.url?.split('?', 1)[0]
    if (path === '/token' || path?.startsWith('/token/')) tokens(request, response)
    else api(request, response)
  }
}
