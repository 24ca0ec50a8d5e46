import type { UpstreamError, UpstreamErrorCode } from '@berth/registry-client'

const bySystemCode: Record<string, string> = {
  ENOTFOUND: 'Check the host in url: no such name is known here.',
  EAI_AGAIN: 'The name server did not answer. Check the network of Berth.',
  ECONNREFUSED: 'Check the port in url, and that the registry runs.',
  EHOSTUNREACH: 'There is no way to that host. Check the network of Berth, or set proxyUrl.',
  ENETUNREACH: 'There is no way to that host. Check the network of Berth, or set proxyUrl.',
  CERT_HAS_EXPIRED: 'The certificate of the registry has to be renewed there.',
  CERT_NOT_YET_VALID: 'The certificate is not valid yet. Compare the clocks.',
  ERR_TLS_CERT_ALTNAME_INVALID: 'The certificate is for another name. Use that name in url.',
}
const untrusted = 'Send the certificate of its authority as caCert, or set tlsValidation to false for a test.'

const byCode: Partial<Record<UpstreamErrorCode, string>> = {
  proxy_refused: 'Check proxyUsername and proxyPassword, and whether the proxy lets this host pass.',
  rate_limited: 'Wait until then, or log in: more is granted to a user than to nobody.',
  timeout: 'Check the port in url and firewalls on the way; set proxyUrl if there is a proxy.',
  unavailable: 'Check that the registry runs, and url.',
  protocol: 'Check url: what answers there is not a registry.',
}
const byStep: Record<string, Partial<Record<UpstreamErrorCode, string>>> = {
  tls: { tls: untrusted },
  auth: {
    unauthorized: 'Check username and password, or token.',
    denied: 'This login may not use the registry. Use another one.',
    not_found: 'Check url: what answers there is not a registry.',
    tls: 'The registry ended TLS. If it wants a client certificate, check clientCert and clientKey.',
  },
  repository: {
    not_found: 'Check upstreamName: write it as the registry does, without host and tag.',
    unauthorized:
      'Either there is no such repository, or this login may not pull it. Check upstreamName and the login.',
    denied: 'This login may not pull it. Use one that may, or ask for the right.',
  },
}

/** What to do about a step that failed. */
export function remedyFor(step: string, error: UpstreamError): string {
  const { code } = (error.cause ?? {}) as { code?: string }
  if (error.code === 'address_refused') return refusedAddress(error.message)
  if (error.message.includes('tokenHosts'))
    return 'Add that host to tokenHosts if it gives out the tokens of this registry.'
  if (error.message.includes('does not speak TLS')) return 'Use http:// in url if that is meant.'
  return (
    bySystemCode[code ?? ''] ??
    byStep[step]?.[error.code] ??
    byCode[error.code] ??
    'The log of the registry may say more.'
  )
}

function refusedAddress(message: string): string {
  if (message.includes('never asked')) return 'Use another address: such ones are never asked.'
  if (message.includes('allowPrivateAddresses')) return 'Set allowPrivateAddresses to true if that is meant.'
  return 'Add that host to redirectHosts if that is meant.'
}
