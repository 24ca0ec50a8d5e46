import { type Digest, mediaTypes, OciError } from '@berth/oci'
import type { Database } from '@berth/service'
import type { Sight } from '../access/rights.ts'
import {
  type Exchange,
  type NamedExchange,
  requireServed,
  sendBytes,
  sendEmpty,
  sendJson,
} from '../exchange/exchange.ts'
import { warningOf } from '../exchange/warning.ts'
import { listBasePaths, listReferrers, listTags, type Referrer } from '../model/lists.ts'
import type { Pointer } from '../model/pointer.ts'
import type { FreshSource } from '../pull-through/ensure-fresh.ts'

const mostNames = 1_000
const defaultCatalogNames = 100
// Beside the 4 MiB that clients read of a page.
const referrersPerPage = 100

/** `n` of a list. Too large is cut, as the spec allows; what is no number is refused. */
function wantedCount(query: URLSearchParams, fallback: number, most: number): number {
  const text = query.get('n')
  if (text === null) return fallback
  if (!/^\d{1,15}$/.test(text))
    throw new OciError('PAGINATION_NUMBER_INVALID', 'n must be a whole number, zero or more')
  return Math.min(Number(text), most)
}

function nextLink(path: string, parameters: Record<string, string>): { link: string } {
  return { link: `<${path}?${new URLSearchParams(parameters)}>; rel="next"` }
}

/** Names the state that a list is made of: under one epoch of a distribution nothing changes. */
function etagOf({ distributionId, epoch }: Pointer): string {
  return `"${distributionId}.${epoch}"`
}

/** Whether the client has the list of this state already; then it need not even be made (RFC 9110 §13.1.2). */
function knowsState({ request }: Exchange, etag: string): boolean {
  const known = request.headers['if-none-match']
  return known !== undefined && known.split(',').some((text) => text.trim().replace(/^W\//, '') === etag)
}

/** `GET /v2/<name>/tags/list`: in byte order, `n` at a time (distribution-spec, "Listing Tags"). */
export async function sendTags(exchange: NamedExchange, db: Database): Promise<void> {
  const { basePath, query } = exchange
  const pointer = await requireServed(exchange)
  const limit = wantedCount(query, Number.POSITIVE_INFINITY, mostNames)
  const state = { etag: etagOf(pointer), ...warningOf(pointer) }
  if (knowsState(exchange, state.etag)) return sendEmpty(exchange, 304, state)
  // Without `n` clients want all of it; a list without end is still cut into pages, by a Link that they follow.
  const page = Number.isFinite(limit) ? limit : mostNames * 10
  const found = page === 0 ? [] : await listTags(db, pointer, query.get('last') ?? '', page + 1)
  const tags = found.slice(0, page)
  const last = tags.at(-1)
  const link =
    found.length > page && last !== undefined
      ? nextLink(`/v2/${basePath}/tags/list`, { n: String(Math.min(page, mostNames)), last })
      : {}
  sendJson(exchange, 200, { name: basePath, tags }, { ...link, ...state })
}

const unsure = 'public names only: what else you may see cannot be asked now; try again'

/** `GET /v2/_catalog`: what the caller may pull, in byte order. */
export async function sendCatalog(exchange: Exchange, db: Database, sight: Sight): Promise<void> {
  const limit = wantedCount(exchange.query, defaultCatalogNames, mostNames)
  const found =
    limit === 0
      ? []
      : await listBasePaths(db, {
          sight,
          after: exchange.query.get('last') ?? '',
          limit: limit + 1,
        })
  const repositories = found.slice(0, limit)
  const last = repositories.at(-1)
  const link = found.length > limit && last !== undefined ? nextLink('/v2/_catalog', { n: String(limit), last }) : {}
  sendJson(exchange, 200, { repositories }, { ...link, ...warningOf({ warning: sight.isSure ? null : unsure }) })
}

/**
 * `GET /v2/<name>/referrers/<digest>`: an index, empty for what nobody refers to or nobody knows (distribution-spec, "Listing
 * Referrers"). Of what is pulled through upstream is asked too.
 */
export async function sendReferrers(
  exchange: NamedExchange,
  subject: Digest,
  { db, fresh }: { db: Database; fresh: FreshSource },
): Promise<void> {
  const { basePath, query } = exchange
  const { pointer, staleness } = await fresh.referrers(exchange, subject)
  const etag = pointer && etagOf(pointer)
  const warning: Record<string, string> = staleness === undefined ? {} : { warning: staleness }
  if (etag !== undefined && knowsState(exchange, etag)) return sendEmpty(exchange, 304, { etag, ...warning })
  const artifactType = query.get('artifactType')
  const wanted = { artifactType, after: query.get('last') ?? '', limit: referrersPerPage }
  const { referrers, goesOn } = pointer
    ? await listReferrers(db, pointer, subject, wanted)
    : { referrers: [], goesOn: false }
  const last = referrers.at(-1)
  const next =
    goesOn && last
      ? nextLink(`/v2/${basePath}/referrers/${subject}`, {
          ...(artifactType === null ? {} : { artifactType }),
          last: last.digest,
        })
      : {}
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: referrers.map(toDescriptor) }
  const headers = {
    'content-type': mediaTypes.ociIndex,
    ...(artifactType === null ? {} : { 'oci-filters-applied': 'artifactType' }),
    ...next,
    ...(etag === undefined ? {} : { etag }),
    ...warning,
  }
  sendBytes(exchange, 200, headers, Buffer.from(JSON.stringify(index)))
}

function toDescriptor({ digest, mediaType, sizeBytes, artifactType, annotations }: Referrer): Record<string, unknown> {
  return {
    mediaType,
    digest,
    size: sizeBytes,
    ...(artifactType === null ? {} : { artifactType }),
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
  }
}
