import jwt from 'jsonwebtoken'

const lifeSeconds = 60
const renewBeforeSeconds = 20

/** Signs the tokens by which one service of Berth shows another its name. They live a minute and are made anew before that. */
export function createServiceTokens(options: { serviceKey: string; from: string; to: string }): () => string {
  let current: { token: string; renewAt: number } | undefined
  return () => {
    const now = performance.now()
    if (!current || now >= current.renewAt) {
      const token = jwt.sign({}, options.serviceKey, {
        algorithm: 'HS256',
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
const rememberedTokens = 1_000

/** Answers which service a token comes from; `undefined` when it is none of ours or not for us. */
export function createServiceTokenCheck(options: {
  serviceKey: string
  self: string
}): (token: string) => string | undefined {
  // A token is checked once: the signature of the same text cannot change, only its time can run out.
  const known = new Map<string, { from: string; until: number }>()
  return (token) => {
    const seen = known.get(token)
    if (seen && Date.now() < seen.until) return seen.from
    try {
      const claims = jwt.verify(token, options.serviceKey, {
        algorithms: ['HS256'],
        audience: options.self,
        clockTolerance: clockToleranceSeconds,
      })
      if (typeof claims === 'string' || !claims.iss || !claims.exp) return undefined
      if (known.size >= rememberedTokens) known.clear()
      known.set(token, { from: claims.iss, until: claims.exp * 1000 })
      return claims.iss
    } catch (error) {
      if (error instanceof jwt.JsonWebTokenError) return undefined
      throw error
    }
  }
}
