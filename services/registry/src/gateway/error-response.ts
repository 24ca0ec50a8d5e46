import { BlobStoreError, type BlobStoreErrorCode, BlobTooLarge, DigestMismatch, SizeMismatch } from '@berth/blobs'
import { OciError, type OciErrorCode, ociErrorBody } from '@berth/oci'
import { databaseProblem, Problem } from '@berth/service'
import { endEarly, isEarly } from '../exchange/early-answer.ts'
import { commonHeaders, type Exchange, sendBytes } from '../exchange/exchange.ts'

/** How refusals of catalog are said on `/v2`. */
const codes: Record<string, { code: OciErrorCode; status?: number }> = {
  manifest_blob_unknown: { code: 'MANIFEST_BLOB_UNKNOWN' },
  index_too_deep: { code: 'MANIFEST_INVALID' },
  manifest_held: { code: 'UNSUPPORTED' },
  blob_held: { code: 'UNSUPPORTED' },
  tag_not_found: { code: 'MANIFEST_UNKNOWN' },
  manifest_not_found: { code: 'MANIFEST_UNKNOWN' },
  blob_not_found: { code: 'BLOB_UNKNOWN' },
  signature_exists: { code: 'SIGNATURE_EXISTS' },
  repository_not_found: { code: 'NAME_UNKNOWN' },
  too_many_attempts: { code: 'TOOMANYREQUESTS' },
  upstream_limit: { code: 'TOOMANYREQUESTS' },
  // 401 or 403 would tell a client to log in here, and a client with other mirrors not to ask them.
  upstream_denied: { code: 'DENIED', status: 502 },
  upstream_wrong_bytes: { code: 'DIGEST_INVALID', status: 502 },
}
const retryLater = { 'retry-after': '2' }

/** Translates whatever went wrong into the error of the protocol. The original stays as the cause, for the log. */
export function toOciError(error: unknown): OciError {
  if (error instanceof OciError) return error
  if (error instanceof DigestMismatch) return new OciError('DIGEST_INVALID', error.message, { cause: error })
  if (error instanceof SizeMismatch) return new OciError('SIZE_INVALID', error.message, { cause: error })
  if (error instanceof BlobTooLarge) return new OciError('SIZE_INVALID', error.message, { status: 413, cause: error })
  if (error instanceof BlobStoreError) return storeError(error)
  if (error instanceof Problem) return problemError(error)
  const away = databaseProblem(error)
  if (away) return problemError(away)
  return new OciError('UNKNOWN', 'something went wrong in the registry; the log says what', { cause: error })
}

function storeError(error: BlobStoreError): OciError {
  // Only what these say is for clients; other messages name folders and buckets.
  const texts: Partial<Record<BlobStoreErrorCode, string>> = {
    below_reserve: `nothing more is taken for now: ${error.message}`,
    busy: error.message,
    no_space: 'the disk of the blob store is full; nothing was lost, try again later',
  }
  const text = texts[error.code] ?? 'the blob store does not answer as it should; try again later'
  return new OciError('UNAVAILABLE', text, { headers: { 'retry-after': '10' }, cause: error })
}

function problemError(problem: Problem): OciError {
  const known = codes[problem.code]
  const message = problem.options.hint ? `${problem.message} ${problem.options.hint}` : problem.message
  const headers = problem.options.headers ?? {}
  if (known) {
    const status = known.status === undefined ? {} : { status: known.status }
    return new OciError(known.code, message, { detail: problem.options.more, headers, cause: problem, ...status })
  }
  if (problem.status === 503)
    return new OciError('UNAVAILABLE', message, { headers: { ...retryLater, ...headers }, cause: problem })
  if (problem.status < 500) return new OciError('DENIED', message, { status: problem.status, cause: problem })
  return new OciError('UNKNOWN', 'something went wrong in the registry; the log says what', { cause: problem })
}

/** Sends an error. An answer that has begun can only be cut, so that it never looks complete. */
export function sendError(exchange: Pick<Exchange, 'request' | 'response' | 'requestId'>, error: OciError): void {
  if (exchange.response.headersSent) {
    exchange.response.destroy()
    return
  }
  const headers = { 'content-type': 'application/json', 'x-request-id': exchange.requestId, ...error.headers }
  const body = Buffer.from(ociErrorBody(error))
  if (!isEarly(exchange)) return sendBytes(exchange, error.status, headers, body)
  exchange.response.writeHead(error.status, { ...commonHeaders, ...headers, 'content-length': body.length })
  endEarly(exchange, body)
}
