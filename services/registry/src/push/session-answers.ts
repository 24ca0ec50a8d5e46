import type { BlobStore } from '@berth/blobs'
import { type Digest, OciError, parseContentRange, parseDigest } from '@berth/oci'
import type { Database } from '@berth/service'
import { type NamedExchange, sendEmpty } from '../exchange/exchange.ts'
import type { Generations } from './generations.ts'
import type { MayBegin } from './may-begin.ts'
import type { MountDeps } from './mount.ts'
import type { SessionOwner } from './session-id.ts'
import type { Sessions, UploadSession } from './sessions.ts'

export type UploadDeps = MountDeps & {
  db: Database
  blobs: BlobStore
  sessions: Sessions
  generations: Generations
  mayBegin: MayBegin
}

export function ownerOf(exchange: NamedExchange): SessionOwner {
  return { repository: exchange.basePath, subject: exchange.caller.actor.id ?? '' }
}

/** Where a session is and how far it has come (distribution-spec, "Pushing a blob in chunks"). */
export function sessionHeaders(exchange: NamedExchange, id: string, offsetBytes: number): Record<string, string> {
  return {
    location: `/v2/${exchange.basePath}/blobs/uploads/${id}`,
    range: `0-${Math.max(0, offsetBytes - 1)}`,
    'docker-upload-uuid': id,
  }
}

export function sendCreated(exchange: NamedExchange, digest: Digest): void {
  sendEmpty(exchange, 201, { location: `/v2/${exchange.basePath}/blobs/${digest}`, 'docker-content-digest': digest })
}

/** The digest in a parameter of the query, if it is given. Throws DIGEST_INVALID. */
export function wantedDigest(exchange: NamedExchange, parameter: string): Digest | undefined {
  const text = exchange.query.get(parameter)
  if (text === null) return undefined
  const digest = parseDigest(text)
  if (!digest) throw new OciError('DIGEST_INVALID', `${parameter} is not a sha256 or sha512 digest`)
  return digest
}

export function hasBody({ request }: NamedExchange): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
}

/**
 * A chunk must begin where the session stands; else 416, and the session lives on (distribution-spec, "Pushing a blob in
 * chunks").
 */
export function checkRange(
  exchange: NamedExchange,
  { id, offsetBytes }: Pick<UploadSession, 'id' | 'offsetBytes'>,
): void {
  const header = exchange.request.headers['content-range']
  if (header === undefined) return // docker sends its single PATCH without one: it appends at the end
  const headers = sessionHeaders(exchange, id, offsetBytes)
  const range = parseContentRange(header)
  if (!range || range.start !== offsetBytes || range.end < range.start) {
    throw new OciError('RANGE_INVALID', `the next byte of this upload is ${offsetBytes}`, { headers })
  }
  const length = exchange.request.headers['content-length']
  if (length !== undefined && Number(length) !== range.end - range.start + 1) {
    throw new OciError('SIZE_INVALID', 'Content-Length and Content-Range do not fit together', { headers })
  }
}
