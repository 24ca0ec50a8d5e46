import type { KeyObject } from 'node:crypto'
import jwt from 'jsonwebtoken'
import { keyIdOf, type ServicePublicKeys } from './service-keys.ts'

const lifeSeconds = 60
const renewBeforeSeconds = 20

/** Signs the tokens by which one service of Berth shows another its name. They live a minute and are made anew before that. */
export function createServiceTokens(options: { privateKey: KeyObject; from: string; to: string }): () => string {
  const keyid = keyIdOf(options.privateKey)
  let current: { token: string; renewAt: number } | undefined
  return () => {
    const now = performance.now()
    if (!current || now >= current.renewAt) {
      const token = jwt.sign({}, options.privateKey, {
        algorithm: 'ES256',
        keyid,
        issuer: options.from,
        audience: options.to,
        expiresIn: lifeSeconds,
      })
      current = { token, renewAt: now + (lifeSeconds - renewBeforeSeconds) * 1000 }
    }
    return current.token
  }
}

const clockToleranceSeconds = 60
const longestTokenCharacters = 1_024
const rememberedTokens = 1_000

/**
 * Answers which service a token comes from; `undefined` when it is none of ours or not for us. What decides is the key that it was
 * signed with, which is that of one service: a token that says it is of another one is none.
 */
export function createServiceTokenCheck(options: {
  publicKeys: ServicePublicKeys
  self: string
}): (token: string) => string | undefined {
  // A token is checked once: the signature of the same text cannot change, only its time can run out.
  const known = new Map<string, { from: string; until: number }>()
  return (token) => {
    const seen = known.get(token)
    if (seen && Date.now() < seen.until) return seen.from
    const checked = check(token, options)
    if (!checked) return undefined
    if (known.size >= rememberedTokens) known.clear()
    known.set(token, checked)
    return checked.from
  }
}

function check(
  token: string,
  { publicKeys, self }: { publicKeys: ServicePublicKeys; self: string },
): { from: string; until: number } | undefined {
  if (token.length > longestTokenCharacters) return undefined
  try {
    const kid = jwt.decode(token, { complete: true })?.header.kid
    const signer = typeof kid === 'string' ? publicKeys.get(kid) : undefined
    if (!signer) return undefined
    const claims = jwt.verify(token, signer.key, {
      algorithms: ['ES256'],
      issuer: signer.service,
      audience: self,
      clockTolerance: clockToleranceSeconds,
    })
    if (typeof claims === 'string' || claims.exp === undefined) return undefined
    // One that was made to live longer is not of ours.
    if (claims.exp > Date.now() / 1_000 + lifeSeconds + clockToleranceSeconds) return undefined
    return { from: signer.service, until: claims.exp * 1_000 }
  } catch (error) {
    // jsonwebtoken throws SyntaxError, one of another realm in tests, for a header or payload that is no JSON.
    if (error instanceof jwt.JsonWebTokenError || (error as Error).name === 'SyntaxError') return undefined
    throw error
  }
}
