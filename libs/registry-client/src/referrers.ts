import { type Digest, mediaTypes, parseDigest } from '@berth/oci'
import { discard } from './egress/egress.ts'
import { readText } from './egress/read-text.ts'
import { UpstreamError } from './egress/upstream-error.ts'
import { nextPath } from './name-pages.ts'
import type { Send } from './send.ts'

/** What refers to a digest, as the upstream lists it. */
export type Referrer = {
  digest: Digest
  mediaType: string
  sizeBytes: number
  artifactType?: string
  annotations?: Record<string, string>
}

// The specification bounds an answer, not a list; no image in the wild has anywhere near as many.
const pageLimitBytes = 4 << 20
const mostPages = 100
const mostReferrers = 10_000

/** A page of the list, and the path of the next one. */
export type ReferrerPage = { referrers: Referrer[]; next: string | undefined; host: string }

/**
 * Lists what refers to a digest, all pages of it as `read` gets them (distribution-spec, "Listing Referrers"). `undefined` when
 * the upstream does not have this API: then a tag of the fallback schema may hold the list. Throws `UpstreamError`.
 */
export async function listReferrers(
  { repository, digest }: { repository: string; digest: Digest },
  read: (path: string) => Promise<ReferrerPage | undefined>,
): Promise<Referrer[] | undefined> {
  const found = new Map<Digest, Referrer>()
  const seen = new Set<string>()
  let path: string | undefined = `/v2/${repository}/referrers/${digest}`
  while (path !== undefined && !seen.has(path)) {
    seen.add(path)
    const page = await read(path)
    if (!page) {
      if (seen.size === 1) return undefined
      throw new UpstreamError('protocol', `a page of what refers to ${digest} is missing`, { host: '' })
    }
    for (const referrer of page.referrers) found.set(referrer.digest, referrer)
    if (found.size > mostReferrers || seen.size > mostPages)
      throw new UpstreamError('protocol', `${page.host} gave a list without end of what refers to ${digest}`, {
        host: page.host,
      })
    path = page.next
  }
  return [...found.values()]
}

/** Reads one page; `undefined` when there is no such list. */
export async function readReferrerPage(
  send: Send,
  asked: { repository: string; digest: Digest; path: string; signal: AbortSignal | undefined },
): Promise<ReferrerPage | undefined> {
  const { digest, ...request } = asked
  const answer = await send({ method: 'GET', headers: { accept: mediaTypes.ociIndex }, absent: true, ...request })
  const { host } = answer.url
  if (answer.status >= 400) {
    discard(answer)
    return undefined
  }
  const text = await readText(answer, pageLimitBytes, `what refers to ${digest}`)
  const manifests = readManifests(text)
  const broken = new UpstreamError('protocol', `${host} gave a list of what refers to ${digest} that cannot be read`, {
    host,
  })
  // As of manifests the body says what it is. Some registries have a page for people at every path that they do not know.
  if (!manifests && answer.headers['content-type']?.split(';')[0]?.trim().toLowerCase() !== mediaTypes.ociIndex)
    return undefined
  if (!manifests) throw broken
  return { referrers: readReferrers(manifests, broken), next: nextPath(answer.headers.link, answer.url), host }
}

function readReferrers(manifests: readonly unknown[], broken: UpstreamError): Referrer[] {
  return manifests.map((entry) => {
    const referrer = readReferrer(entry)
    if (!referrer) throw broken
    return referrer
  })
}

/** What an index lists; `undefined` for a text that is none. */
function readManifests(text: string): unknown[] | undefined {
  try {
    const body = JSON.parse(text) as { manifests?: unknown } | null
    // Writers in Go have null where an empty list is meant.
    if (body?.manifests === null) return []
    return Array.isArray(body?.manifests) ? body.manifests : undefined
  } catch {
    // the caller says what is wrong: it knows the host
    return undefined
  }
}

function readReferrer(entry: unknown): Referrer | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined
  const { digest: text, mediaType, size, artifactType, annotations } = entry as Record<string, unknown>
  const digest = typeof text === 'string' ? parseDigest(text) : undefined
  if (!digest || typeof mediaType !== 'string' || !Number.isSafeInteger(size)) return undefined
  return {
    digest,
    mediaType,
    sizeBytes: size as number,
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
    ...(isTexts(annotations) ? { annotations } : {}),
  }
}

function isTexts(value: unknown): value is Record<string, string> {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string')
}
