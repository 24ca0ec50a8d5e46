import { BlobStoreError, type BlobStoreErrorCode } from '../store/errors.ts'

/** A request that failed, with what our side saw of its answer: the client library keeps the status to itself. */
export class RequestFailed extends Error {
  override name = 'RequestFailed'
  readonly status: number | undefined
  /** The code in the answer (`NoSuchKey`), or of the connection's failure (`ECONNRESET`). */
  readonly code: string

  constructor(cause: unknown, status: number | undefined, headerCode: string | undefined) {
    super('the request failed', { cause })
    this.status = status
    this.code = headerCode ?? (cause as { code?: string } | undefined)?.code ?? ''
  }
}

/** Of a connection on which nothing moved. */
export function idleError(idleTimeoutMs: number): Error {
  return Object.assign(new Error(`nothing moved for ${idleTimeoutMs} ms`), { code: 'ETIMEDOUT' })
}

/** The statuses that the client library takes for passing too; it leaves the bodies of these unread. */
export const transientStatuses = new Set([408, 429, 499, 500, 502, 503, 504, 520])
const transientCodes = new Set(['SlowDown', 'InternalError', 'RequestTimeout', 'ServiceUnavailable'])
const networkCodes = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
])

/** Whether the same request may well succeed in a moment. */
export function isTransient({ status, code }: RequestFailed): boolean {
  // A failure in spite of a 200: its body broke off, or told of an error, as the end of a multipart upload may.
  if (status === 200 || (status !== undefined && transientStatuses.has(status))) return true
  return transientCodes.has(code) || networkCodes.has(code)
}

export function isMissingKey({ status, code }: RequestFailed): boolean {
  return status === 404 && code !== 'NoSuchBucket'
}

type Kind = { code: BlobStoreErrorCode; remedy: string }
const wrongRegion: Kind = { code: 'misconfigured', remedy: 'set the region (and endpoint) that the bucket is in' }
const full: Kind = {
  code: 'no_space',
  remedy: 'the object store is full: free space, run the collector, or give it more',
}

const kinds: Record<string, Kind> = {
  RequestTimeTooSkewed: { code: 'misconfigured', remedy: "set this host's clock right" },
  AuthorizationHeaderMalformed: wrongRegion,
  MovedPermanently: wrongRegion,
  PermanentRedirect: wrongRegion,
  TemporaryRedirect: wrongRegion,
  NoSuchBucket: { code: 'misconfigured', remedy: 'the bucket is gone or was never there: create it or name another' },
  NoSuchUpload: { code: 'conflict', remedy: 'the multipart upload was ended by somebody else: start again' },
  XMinioStorageFull: full,
  XMinioAdminBucketQuotaExceeded: full,
  QuotaExceeded: full,
}

function kindOf({ status, code }: RequestFailed): Kind {
  const kind = kinds[code]
  if (kind) return kind
  if (status === 507) return full
  if (status === 401 || status === 403) {
    return { code: 'denied', remedy: 'check access key, secret key and what they may do in the bucket' }
  }
  if (status === undefined) return { code: 'unavailable', remedy: 'check that the endpoint is right and reachable' }
  return { code: 'unavailable', remedy: 'see the object store’s own log' }
}

/** Turns a failed request into a `BlobStoreError` that says what to do; hands on everything else as it is. */
export function s3Failure(what: string, failure: unknown): unknown {
  if (!(failure instanceof RequestFailed)) return failure
  if (failure.status === undefined && failure.code === '') return failure.cause
  const { code, remedy } = kindOf(failure)
  const seen = [failure.status, failure.code].filter(Boolean).join(' ')
  return new BlobStoreError(code, `cannot ${what} (${seen}); ${remedy}`, { cause: failure.cause })
}
