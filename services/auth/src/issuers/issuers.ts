import { createGuardedFetch, type GuardedFetch, UpstreamError } from '@berth/registry-client'
import { Problem } from '@berth/service'
import { LRUCache } from 'lru-cache'
import { type Issuer, isKeySet, type KeySet } from './issuer.ts'
import { createRemembered } from './remembered.ts'

const limitBytes = 256 << 10
const longestSeconds = 10
const freshMs = 10 * 60_000
// For tokens that name a key that is not known, so that nobody can have us ask all the time.
const leastBetweenMs = 30_000
const mostIssuers = 500

/** What an issuer says of itself (OpenID Connect Discovery 1.0 §3). */
type Discovered = { issuer: string; jwks_uri?: string } & Record<string, unknown>

/** What issuers publish, remembered: one that is away for a while breaks nothing that needs only its keys. */
export type Issuers = {
  /** Its discovery document. Throws 502 or 503. */
  discover(issuer: Issuer): Promise<Discovered>
  /** Its keys, fetched anew where `kid` is none of them, but not twice within half a minute for that. Throws 502 or 503. */
  keys(issuer: Issuer, kid?: string): Promise<KeySet>
  /** Asks it, or whom it names. Throws `UpstreamError`. */
  fetchOf(issuer: Issuer): GuardedFetch
}

/** An issuer that does not answer is waited for at most as long as a service. */
export function createIssuers({
  callTimeoutSeconds = longestSeconds,
}: {
  callTimeoutSeconds?: number | undefined
}): Issuers {
  const withinMs = Math.min(callTimeoutSeconds, longestSeconds) * 1_000
  const documents = createRemembered<Discovered>()
  const keySets = createRemembered<KeySet>()
  const missedAt = new LRUCache<string, number>({ max: mostIssuers })

  const fetchOf: Issuers['fetchOf'] = ({ issuer, caCert, allowPrivateAddresses, allowHttp }) =>
    createGuardedFetch({
      origin: new URL(issuer),
      ca: caCert ?? undefined,
      allowPrivateAddresses,
      allowHttp,
      limitBytes,
      withinMs,
    })

  const fetchJson = async (from: Issuer, url: string): Promise<unknown> => {
    const answer = await ask(fetchOf(from), from, url)
    if (answer.status !== 200) throw wrong(from, `it answered ${answer.status} to ${new URL(url).pathname}`)
    try {
      return await answer.json()
    } catch (cause) {
      throw wrong(from, `what it answers to ${new URL(url).pathname} is not JSON`, cause)
    }
  }

  const discover = (from: Issuer) =>
    documents.get(keyOf(from), freshMs, async () => {
      const url = `${from.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
      const document = await fetchJson(from, url)
      const { issuer } = (document ?? {}) as { issuer?: unknown }
      if (typeof issuer !== 'string') throw wrong(from, 'its discovery document names no issuer')
      if (issuer !== from.issuer)
        throw wrong(from, `its discovery document names another issuer, ${JSON.stringify(issuer.slice(0, 200))}`)
      return document as Discovered
    })

  const published = (from: Issuer, fresh: number) =>
    keySets.get(keyOf(from), fresh, async () => {
      const { jwks_uri: uri } = await discover(from)
      if (typeof uri !== 'string' || !URL.canParse(uri)) throw wrong(from, 'its discovery document names no jwks_uri')
      const keys = await fetchJson(from, uri)
      if (!isKeySet(keys)) throw wrong(from, 'what its jwks_uri answers is no set of public keys')
      return keys
    })

  return {
    discover,
    fetchOf,
    keys: async (from, kid) => {
      if (from.jwks) return from.jwks
      const known = await published(from, freshMs)
      if (kid === undefined || known.keys.some((key) => key.kid === kid)) return known
      const key = keyOf(from)
      if (Date.now() - (missedAt.get(key) ?? 0) < leastBetweenMs) return known
      missedAt.set(key, Date.now())
      return published(from, 0)
    },
  }
}

/** The problem that an issuer makes: 503 where it does not answer in time, 502 where it answers wrongly or cannot be reached. */
export function issuerProblem(issuer: string, error: UpstreamError): Problem {
  const { code, message } = error
  if (code === 'timeout')
    return new Problem(503, 'issuer_away', `The issuer ${issuer} does not answer: ${message}.`, {
      hint: 'Try again in a while.',
      headers: { 'retry-after': '10' },
      cause: error,
    })
  const isPrivate = code === 'address_refused'
  const why = isPrivate ? `${error.host} is a private address` : message
  return new Problem(502, 'issuer_unreachable', `The issuer ${issuer} cannot be asked: ${why}.`, {
    hint: isPrivate
      ? 'An administrator may set allowPrivateAddresses, or give its keys as jwks.'
      : 'Look whether it answers from where Berth runs; caCert names whom to trust besides.',
    cause: error,
  })
}

async function ask(fetch: GuardedFetch, from: Issuer, url: string): Promise<Response> {
  try {
    return await fetch(url, { headers: { accept: 'application/json' } })
  } catch (error) {
    if (error instanceof UpstreamError) throw issuerProblem(from.issuer, error)
    throw error
  }
}

function wrong({ issuer }: Issuer, why: string, cause?: unknown): Problem {
  return new Problem(502, 'issuer_wrong', `The issuer ${issuer} cannot be used: ${why}.`, {
    hint: 'Write the issuer as its discovery document and its tokens do, to the letter.',
    cause,
  })
}

// Whatever was fetched in another way is another thing.
function keyOf({ issuer, caCert, allowPrivateAddresses, allowHttp }: Issuer): string {
  return JSON.stringify([issuer, caCert, allowPrivateAddresses, allowHttp])
}
