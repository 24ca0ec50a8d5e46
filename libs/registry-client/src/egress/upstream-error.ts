const upstreamErrorCodes = [
  'address_refused',
  'bad_digest',
  'denied',
  'not_found',
  'protocol',
  'proxy_refused',
  'rate_limited',
  'short_body',
  'timeout',
  'tls',
  'unauthorized',
  'unavailable',
] as const
export type UpstreamErrorCode = (typeof upstreamErrorCodes)[number]

export type UpstreamErrorOptions = {
  host: string
  status?: number | undefined
  retryAfterSeconds?: number | undefined
  cause?: unknown
}

/** What an upstream registry did to us. The message names host and thing; it never holds credentials or queries. */
export class UpstreamError extends Error {
  override name = 'UpstreamError'
  readonly code: UpstreamErrorCode
  readonly host: string
  readonly status: number | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(code: UpstreamErrorCode, message: string, options: UpstreamErrorOptions) {
    super(message, { cause: options.cause })
    this.code = code
    this.host = options.host
    this.status = options.status
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

const byStatus: Record<number, UpstreamErrorCode> = {
  401: 'unauthorized',
  403: 'denied',
  404: 'not_found',
  429: 'rate_limited',
}

/** The error for an answer that is no success. */
export function statusError(host: string, what: string, status: number, retryAfterSeconds?: number): UpstreamError {
  const code = byStatus[status] ?? (status >= 500 ? 'unavailable' : 'protocol')
  return new UpstreamError(code, `${host} answered ${status} to ${what}`, { host, status, retryAfterSeconds })
}

const tlsCodes = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/

/** The error for a connection that failed: what the system said, in our words. */
export function connectionError(host: string, what: string, cause: unknown): UpstreamError {
  if (cause instanceof UpstreamError) return cause
  const { code = '', message = '' } = (cause ?? {}) as { code?: string; message?: string }
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/.test(code))
    return new UpstreamError('tls', `${host} does not speak TLS; if that is meant, use http:// in the url`, {
      host,
      cause,
    })
  if (tlsCodes.test(code))
    return new UpstreamError('tls', `${host} shows a certificate that is not trusted (${code})`, { host, cause })
  const proxied = /Proxy (?:response \((\d+)\)|Authentication Required \((407)\))/.exec(message)
  if (proxied) {
    const status = Number(proxied[1] ?? proxied[2])
    const message = `the proxy answered ${status} to a request for ${host}`
    return new UpstreamError(status >= 500 ? 'unavailable' : 'proxy_refused', message, { host, cause })
  }
  if (/TIMEOUT/.test(code) || (cause as Error)?.name === 'TimeoutError')
    return new UpstreamError('timeout', `${host} did not answer in time to ${what}`, { host, cause })
  return new UpstreamError('unavailable', `${host} broke off or cannot be reached (${code || message}) for ${what}`, {
    host,
    cause,
  })
}
