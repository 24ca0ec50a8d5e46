import { createPublicKey, type KeyObject } from 'node:crypto'
import { isUuid } from '@berth/service'
import jwt from 'jsonwebtoken'
import type { Access } from './scope.ts'

/** The name of this registry in tokens and challenges. */
export const tokenService = 'berth'
export const tokenIssuer = 'berth-auth'
const clockToleranceSeconds = 60
const longestLifeSeconds = 600
const longestTokenCharacters = 8_192
const keyId = /^[A-Za-z0-9_-]{1,64}$/

/** A public key as the JWKS publishes it: EC, P-256, for ES256. */
export type PublicJwk = { kty: 'EC'; crv: 'P-256'; x: string; y: string; kid: string; use: 'sig'; alg: 'ES256' }

/**
 * What a checked access token says. `api`: it was asked for without a scope, and so opens the API to its account.
 */
type AccessClaims = {
  /** The account, the epoch of it in which the token was issued, and whether it is no person. Absent of an anonymous caller. */
  account?: { id: string; name: string; epoch: number; isRobot: boolean }
  admin: boolean
  api: boolean
  /** It opens only what it names, whatever else its account may do. */
  isLimited: boolean
  /** What its account logged in by, where that is something that can be taken away by itself. */
  passId?: string
  access: Access[]
  expiresAt: number
}

export type TokenCheck = {
  /** The claims of a token that is sound now; `undefined` otherwise. */
  verify(token: string): AccessClaims | undefined
  /** Takes a new set of keys; tokens of keys that are gone are refused from now on. */
  setKeys(keys: readonly PublicJwk[]): void
}

const rememberedTokens = 10_000
// A token may have 8 KiB, and what it says is as long again.
const rememberedBytes = 32 << 20

/**
 * Checks access tokens of this installation: ES256 only, with a key out of our own set and never one out of the token, our
 * issuer and audience, an end, and a life of ten minutes at most (docs/guarantees.md#tokens).
 */
export function createTokenCheck(keys: readonly PublicJwk[] = []): TokenCheck {
  let known = new Map<string, KeyObject>()
  const verified = new Map<string, AccessClaims>()
  let bytes = 0
  const setKeys = (next: readonly PublicJwk[]) => {
    known = new Map(next.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: 'jwk' })]))
    verified.clear()
    bytes = 0
  }
  setKeys(keys)
  return {
    setKeys,
    verify(token) {
      const seen = verified.get(token)
      if (seen) return Date.now() < (seen.expiresAt + clockToleranceSeconds) * 1000 ? seen : undefined
      const claims = check(token, known)
      if (!claims) return undefined
      const more = token.length * 2
      if (verified.size >= rememberedTokens || bytes + more > rememberedBytes) {
        verified.clear()
        bytes = 0
      }
      bytes += more
      verified.set(token, claims)
      return claims
    },
  }
}

function check(token: string, keys: Map<string, KeyObject>): AccessClaims | undefined {
  if (token.length > longestTokenCharacters) return undefined
  try {
    const { kid, crit } = jwt.decode(token, { complete: true })?.header ?? {}
    // What has to be understood and is not makes a token invalid (RFC 7515 §4.1.11); jsonwebtoken does not look.
    if (crit !== undefined) return undefined
    const key = kid !== undefined && keyId.test(kid) ? keys.get(kid) : undefined
    if (!key) return undefined
    const claims = jwt.verify(token, key, {
      algorithms: ['ES256'],
      audience: tokenService,
      issuer: tokenIssuer,
      clockTolerance: clockToleranceSeconds,
    })
    return typeof claims === 'string' ? undefined : readClaims(claims)
  } catch (error) {
    // jsonwebtoken throws SyntaxError for a header or payload that is no JSON
    if (
      error instanceof jwt.JsonWebTokenError ||
      error instanceof SyntaxError ||
      (error as Error).name === 'SyntaxError'
    )
      return undefined
    throw error
  }
}

function readClaims(claims: jwt.JwtPayload): AccessClaims | undefined {
  const { sub, exp, iat, access, admin, api, typ, name, epoch, robot, limited, pass } = claims as jwt.JwtPayload & {
    access?: unknown
    admin?: unknown
    api?: unknown
    name?: unknown
    epoch?: unknown
    robot?: unknown
    limited?: unknown
    pass?: unknown
    typ?: unknown
  }
  // A refresh token is signed by the same key; it must never open anything.
  if (typ !== 'access' || exp === undefined || iat === undefined || exp - iat > longestLifeSeconds) return undefined
  // An anonymous token has no subject. Any other is the id of an account, never its name, which may be that of another one by now.
  const isAnonymous = sub === undefined || sub === ''
  if (!isAnonymous && !(isUuid(sub) && typeof name === 'string' && typeof epoch === 'number')) return undefined
  return {
    ...(isAnonymous
      ? {}
      : { account: { id: sub, name: name as string, epoch: epoch as number, isRobot: robot === true } }),
    admin: admin === true,
    api: api === true,
    isLimited: limited === true,
    ...(typeof pass === 'string' ? { passId: pass } : {}),
    access: Array.isArray(access) ? access.filter(isAccess) : [],
    expiresAt: exp,
  }
}

function isAccess(value: unknown): value is Access {
  const { type, name, actions } = (value ?? {}) as Partial<Access>
  return typeof type === 'string' && typeof name === 'string' && Array.isArray(actions)
}
