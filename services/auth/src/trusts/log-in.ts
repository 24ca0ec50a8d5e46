import type { Database, Logger } from '@berth/service'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose'
import { type Account, accountById } from '../accounts/account.ts'
import type { Issuer } from '../issuers/issuer.ts'
import type { Issuers } from '../issuers/issuers.ts'
import { unmet } from './conditions.ts'
import { noteUseOfTrust, type Trust, trustNamed, trustsIn } from './trust.ts'

/** What comes of a foreign token: the robot that it stands for, or why it stands for none. */
type TrustLogin = { account: Account; trust: Trust } | Refusal
type Refusal = { account?: never; refusal: string }
/** What a token says whose signature, issuer, audience and times are right. */
type Checked = { claims: JWTPayload; endsAt: Date }

export type LogInByTrust = {
  /** By the name of a trust; `undefined` when there is none of that name. Throws 502 or 503 when the issuer has to be asked and does not answer. */
  named(name: string, token: string): Promise<TrustLogin | undefined>
  /** By the one trust that takes the token. Throws as `named`. */
  any(token: string): Promise<TrustLogin>
}

const longestToken = 8_192
const longestLifeSeconds = 86_400
const clockToleranceSeconds = 30
// Only with keys that an issuer can publish.
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const form = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** Whether a text is a signed token as others issue them. */
export function isForeignToken(text: string): boolean {
  return text.startsWith('eyJ') && text.length <= longestToken && form.test(text)
}

/** Takes tokens of issuers that administrators trust for the secrets of robots (RFC 7523, RFC 8693). */
export function createLogInByTrust(db: Database, issuers: Issuers, log: Logger): LogInByTrust {
  const verify = async (issuer: Issuer, audience: string[], token: string): Promise<Checked | Refusal> => {
    try {
      const { kid } = decodeProtectedHeader(token)
      const keys = createLocalJWKSet(await issuers.keys(issuer, kid))
      const checks = { issuer: issuer.issuer, audience, algorithms, clockTolerance: clockToleranceSeconds }
      const { payload } = await jwtVerify(token, keys, { ...checks, requiredClaims: ['exp'] })
      return bounded(payload)
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) return { refusal: reasonOf(error) }
      throw error
    }
  }

  /** Whether a checked token meets the conditions of a trust. */
  const meets = ({ name, audience, claims: conditions }: Trust, { claims }: Checked): boolean => {
    if (![claims.aud].flat().includes(audience)) return false
    const why = unmet(conditions, claims)
    // Not told to whoever sends it: anybody gets tokens of some issuers, and what is asked of others is no business of theirs.
    if (why !== undefined) log.info('a token does not meet the conditions of a trust', { trust: name, reason: why })
    return why === undefined
  }

  const logIn = async (trust: Trust, { endsAt }: Checked): Promise<TrustLogin> => {
    const robot = await accountById(db, trust.robotId)
    if (!robot) return { refusal: `the robot "${trust.robotName}" has ended` }
    await noteUseOfTrust(db, trust.id)
    return { account: { ...robot, pass: { id: trust.id, scopes: null, endsAt } }, trust }
  }

  return {
    named: async (name, token) => {
      const trust = await trustNamed(db, name)
      if (!trust) return undefined
      const checked = await verify(trust, [trust.audience], token)
      if ('refusal' in checked) return checked
      return meets(trust, checked) ? logIn(trust, checked) : { refusal: 'it does not meet the conditions of the trust' }
    },
    any: async (token) => {
      const named = namedIn(token)
      if (!named) return { refusal: 'it is no token that an issuer has signed' }
      const trusts = await trustsIn(db, named.issuer, named.kid)
      const found: { trust: Trust; checked: Checked }[] = []
      let refusal =
        trusts.length === 0
          ? 'no trust names its issuer, or none of its keys'
          : 'it does not meet the conditions of a trust'
      // Its signature first: else whoever makes up tokens would learn which conditions there are.
      for (const alike of inOneWay(trusts)) {
        const audiences = [...new Set(alike.map(({ audience }) => audience))]
        const checked = await verify(alike[0], audiences, token)
        if ('refusal' in checked) ({ refusal } = checked)
        else found.push(...alike.filter((trust) => meets(trust, checked)).map((trust) => ({ trust, checked })))
      }
      const [one, ...more] = found
      if (!one) return { refusal }
      return more.length > 0
        ? { refusal: 'several trusts take it; say by client_id which is meant' }
        : logIn(one.trust, one.checked)
    },
  }
}

/** The issuer and the key that a token names, which is not checked yet. */
function namedIn(token: string): { issuer: string; kid: string | undefined } | undefined {
  try {
    if (!isForeignToken(token)) return undefined
    const [issuer, kid]: unknown[] = [decodeJwt(token).iss, decodeProtectedHeader(token).kid]
    return isStorable(issuer) ? { issuer, kid: isStorable(kid) ? kid : undefined } : undefined
  } catch {
    // What cannot be read is no token.
    return undefined
  }
}

// PostgreSQL takes U+0000 in no text.
function isStorable(text: unknown): text is string {
  return typeof text === 'string' && !text.includes('\0')
}

/** Trusts whose issuer is asked in the same way, together: their tokens are checked once. */
function inOneWay(trusts: readonly Trust[]): [Trust, ...Trust[]][] {
  const groups = new Map<string, [Trust, ...Trust[]]>()
  for (const trust of trusts) {
    const { caCert, allowPrivateAddresses, allowHttp, jwks } = trust
    const way = JSON.stringify([caCert, allowPrivateAddresses, allowHttp, jwks])
    const group = groups.get(way)
    if (group) group.push(trust)
    else groups.set(way, [trust])
  }
  return [...groups.values()]
}

function bounded(claims: JWTPayload): Checked | Refusal {
  const now = Math.floor(Date.now() / 1000)
  const { exp = 0, iat = now } = claims
  if (exp - Math.min(iat, now) > longestLifeSeconds)
    return { refusal: `it lives longer than ${longestLifeSeconds / 3600} hours: ask for a shorter one` }
  return { claims, endsAt: new Date(exp * 1000) }
}

/** In our words: what the library says may quote the token. */
function reasonOf(error: Error): string {
  if (error instanceof errors.JWTExpired) return 'it has expired'
  if (error instanceof errors.JWTClaimValidationFailed)
    return error.claim === 'aud' ? 'it is for another audience' : `its ${error.claim} is not right`
  if (error instanceof errors.JWKSNoMatchingKey) return 'it is signed by a key that its issuer does not publish'
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'it does not say which key of its issuer has signed it'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is not right'
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported)
    return 'it is signed in a way that is not taken'
  return 'it cannot be read'
}
