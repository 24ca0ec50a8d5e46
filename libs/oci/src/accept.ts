import { mediaTypes } from './media-types.ts'

type MediaRange = { range: string; quality: number }

/**
 * Reads an `Accept` header, several of them joined by commas too: each media range with its weight from 0 (not wanted) to 1.
 * Parameters other than `q` do not tell manifests apart and are passed over; a weight that is no number counts as 1. Rule:
 * RFC 9110 §12.5.1.
 */
export function parseAccept(header: string): MediaRange[] {
  const ranges: MediaRange[] = []
  for (const element of header.split(',')) {
    const [range = '', ...parameters] = element.split(';').map((text) => text.trim().toLowerCase())
    if (range === '') continue
    const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))
    const quality = weight === undefined ? 1 : Number(weight.slice(weight.indexOf('=') + 1))
    // Java's own HTTP client sends a lone `*`.
    ranges.push({ range: range === '*' ? '*/*' : range, quality: Number.isNaN(quality) ? 1 : quality })
  }
  return ranges
}

/** Whether a media type is wanted: what names it more exactly counts more, `a/b` before `a/*` before any. */
export function isAccepted(ranges: readonly MediaRange[], mediaType: string): boolean {
  for (const name of [mediaType, `${mediaType.slice(0, mediaType.indexOf('/'))}/*`, '*/*']) {
    const named = ranges.filter(({ range }) => range === name)
    if (named.length > 0) return named.some(({ quality }) => quality > 0)
  }
  return false
}

const lists = [mediaTypes.dockerList, mediaTypes.ociIndex]
const singles = [
  mediaTypes.dockerManifest,
  mediaTypes.ociManifest,
  mediaTypes.dockerSchema1,
  mediaTypes.dockerSchema1Signed,
]

const oldest = [mediaTypes.dockerSchema1, mediaTypes.dockerSchema1Signed]
const newer = [...lists, mediaTypes.dockerManifest, mediaTypes.ociManifest]

/**
 * Whether a client knows nothing newer than schema 1, as docker before 1.10. A client that says nothing of manifests is none of
 * these.
 */
export function knowsOnlySchema1(accept: string | undefined): boolean {
  // Those that still name it nearly always name the next one too, without a weight; no more needs to be read then.
  if (accept === undefined || !accept.includes('distribution.manifest.v1+')) return false
  if (accept.includes(mediaTypes.dockerManifest) && !/;\s*q/i.test(accept)) return false
  const ranges = parseAccept(accept)
  return !newer.some((type) => isAccepted(ranges, type)) && oldest.some((type) => isAccepted(ranges, type))
}

/**
 * Whether a client knows manifests of single images only, as tools older than lists do: it can do nothing with a list. Who
 * says nothing of manifests gets what is stored (docs/protocol.md#accept).
 */
export function knowsOnlySingleManifests(accept: string | undefined): boolean {
  if (accept === undefined) return false
  // Nearly all clients name lists, without a weight; no more needs to be read then.
  if (accept.includes(mediaTypes.dockerList) && !/;\s*q/i.test(accept)) return false
  const ranges = parseAccept(accept)
  return !lists.some((type) => isAccepted(ranges, type)) && singles.some((type) => isAccepted(ranges, type))
}
