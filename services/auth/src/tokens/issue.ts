import { randomUUID } from 'node:crypto'
import { type Access, tokenIssuer, tokenService } from '@berth/tokens'
import jwt from 'jsonwebtoken'
import type { Account } from '../accounts/account.ts'
import type { SigningKey } from '../keys/key-ring.ts'

/**
 * How long an access token lives: with the minute that clocks may differ, what was taken away ends within five minutes. Clients
 * take 60 s when they are not told; below that none is given (docs/protocol.md#tokens).
 */
const tokenLifeSeconds = 240

export type IssuedToken = { token: string; issuedAt: string; expiresIn: number }

/**
 * Whom a token is for, with what it opens: the API where no scope was asked for, and else what is granted of the scopes. `limited`: beside
 * these nothing that its account may do is for it.
 */
export type TokenContent = {
  account: Account | undefined
  isAdmin: boolean
  api: boolean
  limited: boolean
  access: readonly Access[]
}

/**
 * Signs an access token (docs/protocol.md#tokens). Without an account it is one of an anonymous caller. It ends with what its account logged in
 * by, where that has an end.
 */
export function issueToken(key: SigningKey, { account, isAdmin, api, limited, access }: TokenContent): IssuedToken {
  const now = Math.floor(Date.now() / 1000)
  const endsAt = account?.pass?.endsAt ?? null
  const expiresIn = endsAt === null ? tokenLifeSeconds : lifeUntil(endsAt, now)
  const claims = {
    iss: tokenIssuer,
    aud: tokenService,
    sub: account?.id ?? '',
    iat: now,
    nbf: now,
    exp: now + expiresIn,
    jti: randomUUID(),
    typ: 'access',
    ...(isAdmin ? { admin: true } : {}),
    ...(account ? { name: account.name, epoch: account.sessionEpoch } : {}),
    ...(account?.kind === 'robot' ? { robot: true } : {}),
    ...(account && api ? { api: true } : {}),
    ...(limited ? { limited: true } : {}),
    ...(account?.pass ? { pass: account.pass.id } : {}),
    access,
  }
  const token = jwt.sign(claims, key.privateKey, { algorithm: 'ES256', keyid: key.kid })
  return { token, issuedAt: new Date(now * 1000).toISOString(), expiresIn }
}

// Those that check it allow for clocks that differ, so one that ends just now is good for a moment.
function lifeUntil(endsAt: Date, now: number): number {
  return Math.max(1, Math.min(tokenLifeSeconds, Math.floor(endsAt.getTime() / 1000) - now))
}
