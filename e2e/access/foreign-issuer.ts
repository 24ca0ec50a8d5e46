import { generateKeyPairSync, sign } from 'node:crypto'

/** An issuer of tokens that nobody reaches: its trust has its keys. */
export type ForeignIssuer = {
  /** What a trust in it says, but for its name and robot. */
  trust: object
  /** A token that meets the trust, for an hour. */
  token(): string
}

const issuer = 'https://kubernetes.default.svc.cluster.local'
const audience = 'https://berth.example.com'

export function makeForeignIssuer(): ForeignIssuer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const kid = crypto.randomUUID()
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }
  const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return {
    trust: { issuer, audience, claims: { 'kubernetes.io/namespace': 'ci' }, jwks: { keys: [jwk] } },
    token: () => {
      const now = Math.floor(Date.now() / 1000)
      const sub = 'system:serviceaccount:ci:pipeline'
      const claims = {
        iss: issuer,
        aud: [audience],
        sub,
        iat: now,
        exp: now + 3_600,
        'kubernetes.io': { namespace: 'ci' },
      }
      const text = `${base64({ alg: 'ES256', kid })}.${base64(claims)}`
      const signature = sign('SHA256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${text}.${signature.toString('base64url')}`
    },
  }
}
