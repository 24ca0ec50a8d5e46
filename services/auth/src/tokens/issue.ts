import { randomUUID } from 'node:crypto'
import { type Access, tokenIssuer, tokenService } from '@berth/tokens'
import jwt from 'jsonwebtoken'
import type { Account } from '../accounts/account.ts'
import type { SigningKey } from '../keys/key-ring.ts'

/**
 * How long an access token lives: with the minute that clocks may differ, what was taken away ends within five minutes. Clients
 * take 60 s when they are not told; below that none is given (docs/protocol.md#tokens).
 */
export const tokenLifeSeconds = 240

export type IssuedToken = { token: string; issuedAt: string }

/** Signs an access token with what is granted (docs/protocol.md#tokens). Without an account it is one of an anonymous caller. */
export function issueToken(key: SigningKey, account: Account | undefined, access: readonly Access[]): IssuedToken {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: tokenIssuer,
    aud: tokenService,
    sub: account?.name ?? '',
    iat: now,
    nbf: now,
    exp: now + tokenLifeSeconds,
    jti: randomUUID(),
    typ: 'access',
    ...(account?.isAdmin ? { admin: true } : {}),
    ...(account ? { uid: account.id, epoch: account.sessionEpoch } : {}),
    access,
  }
  const token = jwt.sign(claims, key.privateKey, { algorithm: 'ES256', keyid: key.kid })
  return { token, issuedAt: new Date(now * 1000).toISOString() }
}

/** For which account, and in which of its epochs, a token was issued. The token must have been verified before. */
export function readSession(verifiedToken: string): { accountId: string; epoch: number } | undefined {
  const { uid, epoch } = (jwt.decode(verifiedToken) ?? {}) as { uid?: unknown; epoch?: unknown }
  return typeof uid === 'string' && typeof epoch === 'number' ? { accountId: uid, epoch } : undefined
}
