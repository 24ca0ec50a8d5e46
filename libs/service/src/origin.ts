import type { IncomingMessage } from 'node:http'

const host = /^[a-zA-Z0-9.\-_[\]:]{1,255}$/

/** The origin a client reaches us by: as configured, else as the request (or the proxy in front) says. */
export function originOf(request: IncomingMessage, externalUrl: string | undefined): string {
  if (externalUrl !== undefined) return externalUrl
  const forwarded = request.headers['x-forwarded-proto']
  const encrypted = forwarded === 'https' || 'encrypted' in request.socket
  const given = request.headers.host ?? 'localhost'
  // The value goes into a quoted header parameter.
  return `${encrypted ? 'https' : 'http'}://${host.test(given) ? given : 'localhost'}`
}
