import type { RequestListener } from 'node:http'
import { connectBus, natsNotes, startLoop, startRelay } from '@berth/bus'
import {
  applyMigrations,
  createApi,
  createInternalServer,
  createSealer,
  Lifecycle,
  openDatabase,
  Problem,
  readApiDocument,
  type Service,
  type ServiceParts,
} from '@berth/service'
import { accountHandlers } from './accounts/api.ts'
import { ensureAdmin } from './accounts/first-admin.ts'
import { createPasswords } from './accounts/passwords.ts'
import { authCommands } from './commands.ts'
import type { AuthConfig } from './config.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'
import { type KeyRing, openKeyRing, publicKeys } from './keys/key-ring.ts'
import { resealKeys } from './keys/reseal-keys.ts'
import { ensureKeys, rotateKeys } from './keys/rotate.ts'
import { createCheckPassword } from './login/check-password.ts'
import { createAuthenticate, identifyLocally } from './login/identify.ts'
import { createThrottle } from './login/throttle.ts'
import { createTokenEndpoint } from './tokens/endpoint.ts'
import { pruneRefreshTokens } from './tokens/refresh-tokens.ts'

const name = 'auth'
const pruneEveryMs = 60_000

/** Auth, with the password that its first start generated, if it did; it is told once. */
export type Auth = Service & { firstPassword(): string | undefined }

/** Builds auth: accounts, the docker token endpoint, the keys that tokens are signed with. */
export function createAuth(config: AuthConfig, { log: base, metrics }: ServiceParts): Auth {
  const log = base.with({ service: name })
  const life = new Lifecycle(log)
  const sealer = createSealer(config.secretsKey, config.secretsPreviousKeys)
  const db = openDatabase({
    url: config.databaseUrl,
    schema: name,
    onError: (error) => log.warn('database connection lost', { error }),
  })
  const passwords = createPasswords()
  const throttle = createThrottle(db)
  const checkPassword = createCheckPassword(db, passwords, { throttle, serviceKey: config.serviceKey })
  let ring: KeyRing | undefined
  const keys = () => {
    if (ring) return ring
    throw new Problem(503, 'starting', 'The auth service is starting.', { headers: { 'retry-after': '1' } })
  }
  const authenticate = createAuthenticate(db, keys, checkPassword)
  let firstPassword: string | undefined

  const api = createApi({
    service: name,
    document: readApiDocument(new URL('../openapi.yaml', import.meta.url)),
    handlers: {
      ...accountHandlers({ db, prisma: openPrisma(db), passwords, checkPassword }),
      listKeys: async () => ({ status: 200, body: { keys: await publicKeys(db) } }),
      rotateKeys: async ({ principal }) => {
        const rotated = await rotateKeys(db, sealer, principal.name)
        await keys().refresh()
        return { status: 200, body: rotated }
      },
    },
    externalUrl: config.externalUrl,
    identify: identifyLocally(authenticate),
    log,
    metrics,
  })
  const tokens = createTokenEndpoint({ db, keys, authenticate, checkPassword, log, metrics })

  return {
    name,
    public: routePublic(tokens, api),
    internal: createInternalServer({
      service: name,
      serviceKey: config.serviceKey,
      log,
      commands: authCommands(db, authenticate),
    }),
    start: async () => {
      life.onStop('database', () => db.close())
      await applyMigrations({
        url: config.databaseUrl,
        schema: name,
        parts: schemaParts,
      })
      await ensureKeys(db, sealer)
      const { resealed } = await resealKeys(db, sealer)
      if (resealed > 0) log.info('signing keys are sealed under the present BERTH_SECRETS_KEY', { resealed })
      const opened = await openKeyRing(db, sealer, log)
      life.onStop('keys', () => opened.stop())
      firstPassword = await ensureAdmin({ db, log }, passwords, config.adminPassword)
      ring = opened
      const bus = await connectBus({ url: config.natsUrl, name: `berth-${name}`, log, metrics })
      life.onStop('nats', () => bus.close())
      const relay = startRelay({ db, bus, source: name, log, restored: config.restored })
      life.onStop('relay', () => relay.stop())
      const pruning = startLoop({
        pollMs: pruneEveryMs,
        pauseAfterFailureMs: pruneEveryMs,
        onError: (error) => log.warn('pruning will be tried again', { error }),
        run: async () => {
          await throttle.prune()
          await pruneRefreshTokens(db.background)
        },
      })
      life.onStop('pruning', () => pruning.stop())
    },
    stop: () => life.stop(),
    notes: async () => natsNotes(),
    unready: async () => {
      try {
        await db.query('select 1')
        return ring ? undefined : 'the signing keys are not open yet'
      } catch {
        return 'PostgreSQL does not answer'
      }
    },
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
    if (path === '/token' || path === '/token/') tokens(request, response)
    else api(request, response)
  }
}
