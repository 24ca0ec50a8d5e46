import type { IncomingMessage } from 'node:http'
import { noRights, type Rights } from '@berth/access'
import type { AuthCommands, CommandClient } from '@berth/commands'
import { OciError } from '@berth/oci'
import { type Actor, actorOf, clientAddress, originOf, ownerOf } from '@berth/service'
import {
  type Access,
  allows,
  bearerChallenge,
  formatScope,
  isGrantedFor,
  loginIn,
  parseAuthorization,
  type TokenCheck,
  tokenService,
} from '@berth/tokens'

type Served = { repositoryId: string; repositoryName: string }
export type Action = 'pull' | 'push' | 'delete'
/** A caller that was let in. */
export type Caller = {
  /** Without an id it is an anonymous one. */
  actor: Actor
  /** Its account, and the epoch of it that its token is of; absent of an anonymous caller, and where rights are known. */
  account?: { id: string; epoch: number } | undefined
  /** The account that owns what this caller makes; null of robots, and of nobody. */
  ownerId: string | null
  isAdmin: boolean
  may: (repository: string, action: Action) => boolean
  /** Whether it may change what is served under a base path now, if it may at all. */
  mayChange: (basePath: string, served: Served | undefined) => boolean
  /** Base paths that it was granted to pull from, of those that were asked for. */
  named: string[]
  /** What is granted to it, where auth was asked who it is. */
  rights?: Rights | undefined
}

export type Gatekeeper = {
  /**
   * Who calls. Throws 401 for credentials that are not right, with the `scope` that the request takes: the next token is asked for
   * with it.
   */
  identify(request: IncomingMessage, wanted: readonly Access[], scope: string | undefined): Promise<Caller>
  /**
   * Lets a caller do something with a name, or throws. What nobody named, and what is private, answer alike: 401 to who
   * might still log in, 403 to who has (docs/guarantees.md#leaks).
   */
  require(
    request: IncomingMessage,
    caller: Caller,
    basePath: string,
    actions: readonly Action[],
    served: { isPublic: boolean } | undefined,
  ): void
  /**
   * Lets a caller change what is served there now, or throws as `require`: what it was granted is for the repository that was served
   * then, and base paths are pointed to others by who may only pull those.
   */
  requireChange(
    request: IncomingMessage,
    caller: Caller,
    basePath: string,
    actions: readonly Action[],
    served: Served | undefined,
  ): void
  /** What `/v2/` answers to callers without credentials, so that clients learn how to log in. */
  challenge(
    request: IncomingMessage,
    more?: { scope?: string | undefined; error?: 'invalid_token' | 'insufficient_scope' },
  ): Record<string, string>
}

const anonymous: Caller = {
  actor: { id: null, name: 'anonymous' },
  isAdmin: false,
  may: () => false,
  mayChange: () => false,
  named: [],
  rights: noRights(null),
  ownerId: null,
}

/** The one place where `/v2` decides who may do what. */
export function createGatekeeper(options: {
  tokens: TokenCheck
  refreshKeys: () => void
  auth: CommandClient<AuthCommands>
  externalUrl: string | undefined
}): Gatekeeper {
  const { tokens, auth, externalUrl } = options
  const challenge: Gatekeeper['challenge'] = (request, more = {}) => ({
    'www-authenticate': bearerChallenge({
      realm: `${originOf(request, externalUrl)}/token`,
      service: tokenService,
      ...more,
    }),
  })

  return {
    challenge,
    identify: async (request, wanted, scope) => {
      const refuse = (message: string) => {
        const headers = challenge(request, { scope, error: 'invalid_token' })
        return new OciError('UNAUTHORIZED', message, { headers })
      }
      const header = loginIn(request.headers.authorization)
      if (header === undefined) return anonymous
      const credentials = parseAuthorization(header)
      if (credentials?.kind === 'bearer') {
        const claims = tokens.verify(credentials.token)
        if (claims) return holderOf(claims)
        options.refreshKeys()
        throw refuse('the token is not valid, or not any more; ask for a new one')
      }
      if (!credentials) throw refuse('the Authorization header cannot be read; send Basic or Bearer')
      const { principal, access } = await auth.call('decide-access', {
        authorization: header,
        ip: clientAddress(request),
        wanted: [...wanted],
      })
      if (!principal) throw refuse('the user name or the password is not right')
      const { admin, rights } = principal
      return { ...callerOf(access), actor: actorOf(principal), isAdmin: admin, rights, ownerId: ownerOf(principal) }
    },
    require: (request, caller, basePath, actions, served) => {
      const mayReadAnyway = served?.isPublic === true
      if (actions.every((action) => caller.may(basePath, action) || (action === 'pull' && mayReadAnyway))) return
      refuse(request, caller, basePath, actions)
    },
    requireChange: (request, caller, basePath, actions, served) => {
      if (!caller.mayChange(basePath, served)) refuse(request, caller, basePath, actions)
    },
  }

  function refuse(request: IncomingMessage, caller: Caller, basePath: string, actions: readonly Action[]): never {
    const scope = formatScope({ type: 'repository', name: basePath, actions: [...actions] })
    const header = loginIn(request.headers.authorization)
    if (header?.toLowerCase().startsWith('basic ')) {
      throw new OciError(
        'DENIED',
        `${caller.actor.name} may not ${actions.join(' and ')} ${basePath}; ask an administrator`,
      )
    }
    const message =
      caller.actor.id === null
        ? `log in to ${actions.join(' and ')} ${basePath}`
        : `the token of ${caller.actor.name} does not allow to ${actions.join(' and ')} ${basePath}`
    throw new OciError('UNAUTHORIZED', message, {
      headers: challenge(request, { scope, ...(header === undefined ? {} : { error: 'insufficient_scope' }) }),
    })
  }
}

type Claims = NonNullable<ReturnType<TokenCheck['verify']>>
// The same claims come with each request of a token, and who holds it does not change while they are the same.
const holders = new WeakMap<Claims, Caller>()

/** Who holds a token. */
function holderOf(claims: Claims): Caller {
  const known = holders.get(claims)
  if (known) return known
  const holder = readHolder(claims)
  holders.set(claims, holder)
  return holder
}

function readHolder({ account, admin, isLimited, access }: Claims): Caller {
  if (!account) return { ...anonymous, ...callerOf(access) }
  const { id, name, isRobot } = account
  const ownerId = isRobot ? null : id
  // What its account may do beside is not for it, and auth is not asked.
  const rights = isLimited ? { rights: noRights(null) } : {}
  return { ...callerOf(access), actor: { id, name }, account, ownerId, isAdmin: admin, ...rights }
}

/** What accesses let do, whoever they were granted to. */
function callerOf(access: readonly Access[]): Pick<Caller, 'may' | 'mayChange' | 'named'> {
  const pulls = access.filter(({ type, actions }) => {
    return type === 'repository' && (actions.includes('pull') || actions.includes('*'))
  })
  return {
    may: (repository, action) => allows(access, repository, action),
    mayChange: (basePath, served) => isGrantedFor(access, basePath, served),
    named: pulls.map(({ name }) => name),
  }
}
