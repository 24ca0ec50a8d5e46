import type { IncomingMessage } from 'node:http'
import { type ConfigOf, optionalUrl } from './config.ts'

/** The origin at which clients reach Berth, where the request does not say it. */
export const originSettings = { externalUrl: optionalUrl('BERTH_EXTERNAL_URL', ['http', 'https']) }
export type OriginSettings = Partial<ConfigOf<typeof originSettings>>

/**
 * Headers that keep a browser from making more of an answer than bytes: what others pushed lies on the origin that people log
 * in to.
 */
export const inertHeaders = {
  'content-security-policy': "default-src 'none'; sandbox",
  'x-content-type-options': 'nosniff',
}

const reading = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Whether a page of another site has a browser send a change, which goes with the login that the browser remembers. Programs
 * send neither `Origin` nor `Sec-Fetch-Site`, and no page can leave them out. The own origin is known by its host: which
 * scheme it has, a proxy that ends TLS may not tell.
 */
export function isForged(request: IncomingMessage, externalUrl: string | undefined): boolean {
  if (reading.has(request.method ?? '')) return false
  const { headers } = request
  if (headers['sec-fetch-site'] === 'cross-site') return true
  if (headers.origin === undefined) return false
  const from = URL.parse(headers.origin)?.host
  // A page can set none of these without being asked first whether it may.
  const own = [headers.host, headers['x-forwarded-host'], externalUrl && new URL(externalUrl).host]
  return !from || !own.some((host) => typeof host === 'string' && host.toLowerCase() === withPort(from, host))
}

/** Some proxies name the port also where it is the usual one. */
function withPort(from: string, host: string): string {
  const port = /:(?:80|443)$/.exec(host)?.[0] ?? ''
  return port && !/:\d+$/.test(from) ? `${from}${port}` : from
}
