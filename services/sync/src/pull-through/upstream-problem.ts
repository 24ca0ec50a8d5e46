import { BlobStoreError } from '@berth/blobs'
import { UpstreamError } from '@berth/registry-client'
import { Problem } from '@berth/service'

const retryAfterSeconds = 30

/** What upstream says, as the client that pulls is to hear it: absence only where upstream said so. */
export function asProblem(error: unknown, host: string): unknown {
  // The store failed, which says nothing about upstream: what was fetched could not be stored.
  if (error instanceof BlobStoreError)
    return new Problem(503, `store_${error.code}`, error.message, {
      headers: { 'retry-after': String(retryAfterSeconds) },
      cause: error,
    })
  if (!(error instanceof UpstreamError)) return error
  const { code, message, cause } = error
  const retryAfter = { 'retry-after': String(error.retryAfterSeconds ?? retryAfterSeconds) }
  if (code === 'not_found') return new Problem(404, 'manifest_not_found', message, { cause })
  if (code === 'rate_limited') return new Problem(429, 'upstream_limit', message, { headers: retryAfter, cause })
  // The client that pulls is let in here, and no login of its own would help: upstream refuses the one of the remote.
  if (code === 'unauthorized' || code === 'denied')
    return new Problem(502, 'upstream_denied', message, {
      hint: `The login of the remote may not pull this from ${host}, or it is not there.`,
      cause,
    })
  // What upstream has is not what its manifest says, and will not be when it is asked again.
  if (code === 'bad_digest' || code === 'short_body')
    return new Problem(502, 'upstream_wrong_bytes', message, { cause })
  return new Problem(503, `upstream_${code}`, message, { headers: retryAfter, cause })
}

/** A blob that upstream does not have, though a manifest there names it: the fault of upstream, and no word about the manifest. */
export function blobMissing(error: unknown, host: string, repository: string): unknown {
  if (!(error instanceof UpstreamError) || error.code !== 'not_found') return error
  const message = `${host} has a manifest in ${repository} that names a blob which is not there: ${error.message}`
  return new UpstreamError('protocol', message, { host, cause: error })
}

/** Upstream says that it has no such thing. */
export function notUpstream(host: string, repository: string, reference: string): Problem {
  return new Problem(404, 'manifest_not_found', `${host} has no ${reference} in ${repository}`)
}
