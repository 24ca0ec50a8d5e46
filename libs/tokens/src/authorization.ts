export type Credentials = { kind: 'basic'; username: string; password: string } | { kind: 'bearer'; token: string }

const limitCharacters = 16_384
const schemeAlone = /^\s*(basic|bearer)?\s*$/i

/**
 * An `Authorization` header, if there is a login in it. Clients that have none send an empty name and password (`Basic Og==`), or
 * a scheme and nothing behind it: they are anonymous, and not refused.
 */
export function loginIn(header: string | undefined): string | undefined {
  if (header === undefined || schemeAlone.test(header)) return undefined
  const credentials = parseAuthorization(header)
  const isEmpty = credentials?.kind === 'basic' && credentials.username === '' && credentials.password === ''
  return isEmpty ? undefined : header
}

/** Reads an `Authorization` header (RFC 7617, RFC 6750); `undefined` when it is absent or of another kind. */
export function parseAuthorization(header: string | undefined): Credentials | undefined {
  if (header === undefined || header.length > limitCharacters) return undefined
  const space = header.indexOf(' ')
  const scheme = header.slice(0, space).toLowerCase()
  const value = header.slice(space + 1).trim()
  if (scheme === 'bearer' && value !== '') return { kind: 'bearer', token: value }
  if (scheme !== 'basic') return undefined
  const text = Buffer.from(value, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : { kind: 'basic', username: text.slice(0, colon), password: text.slice(colon + 1) }
}
