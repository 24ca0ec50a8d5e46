/**
 * How Berth logs in at a registry: by a login; by an identity token, which only its issuer accepts (OAuth2 refresh token); or by a
 * bearer token that the registry accepts as it is.
 */
export type Credentials = { username: string; password: string } | { refreshToken: string } | { token: string }

/** The header of a login (RFC 7617). */
export function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
