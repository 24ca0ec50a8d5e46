import { UpstreamError } from '../egress/upstream-error.ts'

/** Issuers that are known to belong to a registry on another host. */
const knownRealms: Record<string, string[]> = {
  'registry-1.docker.io': ['auth.docker.io'],
  'registry.gitlab.com': ['gitlab.com'],
}

/**
 * The address of an issuer, if it may be asked. Credentials go to the registry's own host, an issuer known to be its, or one that
 * the remote names (`tokenHosts`); no other host may name itself as the issuer. Throws `UpstreamError`.
 */
export function checkRealm(
  realm: string,
  { origin, tokenHosts, hasCredentials }: { origin: URL; tokenHosts: readonly string[]; hasCredentials: boolean },
): URL {
  if (!URL.canParse(realm))
    throw new UpstreamError('protocol', `${origin.host} names no address to get a token from`, { host: origin.host })
  const url = new URL(realm)
  if (!hasCredentials) return url
  const isOwn = url.hostname === origin.hostname || (knownRealms[origin.hostname] ?? []).includes(url.hostname)
  if (!isOwn && !tokenHosts.some((host) => names(host, url)))
    throw new UpstreamError(
      'unauthorized',
      `${origin.host} wants its credentials sent to ${url.host}, which is not its own; add that to tokenHosts if it is meant`,
      { host: origin.host },
    )
  if (origin.protocol === 'https:' && url.protocol !== 'https:')
    throw new UpstreamError('unauthorized', `${origin.host} wants its credentials sent to ${url.host} without TLS`, {
      host: origin.host,
    })
  return url
}

/** Whether `auth.example.com` or `auth.example.com:8443` names where this is; without a port any will do. */
function names(host: string, url: URL): boolean {
  const parsed = new URL(`${url.protocol}//${host}`)
  const hasPort = /:\d+$/.test(host)
  return parsed.hostname === url.hostname && (!hasPort || parsed.port === url.port)
}
