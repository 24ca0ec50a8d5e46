/**
 * Error codes of the distribution spec and the field, each with the status that registries answer it with
 * (docs/protocol.md#errors).
 */
const statuses = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DENIED: 403,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 400,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  MANIFEST_UNVERIFIED: 400,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  PAGINATION_NUMBER_INVALID: 400,
  RANGE_INVALID: 416,
  SIGNATURE_EXISTS: 409,
  SIGNATURE_INVALID: 400,
  SIZE_INVALID: 400,
  TAG_INVALID: 400,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNAVAILABLE: 503,
  UNKNOWN: 500,
  UNSUPPORTED: 405,
} as const

export type OciErrorCode = keyof typeof statuses

/** A refusal on `/v2`: the code, what failed, and for `detail` whatever helps the caller. The edge turns it into an answer. */
export class OciError extends Error {
  override name = 'OciError'
  readonly code: OciErrorCode
  readonly status: number
  readonly detail: unknown
  readonly headers: Record<string, string>

  constructor(
    code: OciErrorCode,
    message: string,
    options: { detail?: unknown; status?: number; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.status = options.status ?? statuses[code]
    this.detail = options.detail
    this.headers = options.headers ?? {}
  }
}

const mostCharacters = 400

/** The refusal of a manifest. What it repeats of the manifest may be four megabytes long, and is cut. */
export function invalidManifest(fault: string): OciError {
  const said = fault.length > mostCharacters ? `${fault.slice(0, mostCharacters).toWellFormed()}…` : fault
  return new OciError('MANIFEST_INVALID', `the manifest is invalid: ${said}`)
}

/** The error body of distribution-spec, "Error Codes". */
export function ociErrorBody(error: OciError): string {
  const { code, message, detail } = error
  return JSON.stringify({ errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }] })
}
