/** What a challenge tells: where to get a token and what for. `error` is said when a token came but does not do. */
export type Challenge = {
  realm: string
  service: string
  scope?: string | undefined
  error?: 'invalid_token' | 'insufficient_scope'
}

/** The value of `WWW-Authenticate` for a bearer token (docker token spec; every parameter quoted, as simple parsers want it). */
export function bearerChallenge({ realm, service, scope, error }: Challenge): string {
  const parameters = { realm, service, scope, error }
  const quoted = Object.entries(parameters)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}="${quotable(value ?? '')}"`)
  return `Bearer ${quoted.join(',')}`
}

/** The inside of a quoted-string (RFC 9110 §5.6.4); control characters have no place in a header at all. */
function quotable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '').replace(/["\\]/g, '\\$&')
}
