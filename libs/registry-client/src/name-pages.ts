import { readText } from './egress/read-text.ts'
import { UpstreamError } from './egress/upstream-error.ts'
import { nextOf } from './link-header.ts'
import type { Send } from './send.ts'

const namesPerPage = 1_000
const pageLimitBytes = 64 << 20
/** Where a list ends that an upstream never ends: far above what the largest registries hold. */
const mostPages = 2_000
const mostNames = 1_000_000

/** A page of a list of names, and the path of the next one. */
export type NamePage = { names: string[]; next: string | undefined; host: string }

/** Hears that it is not known whether a list has more names than those that were given, and why. */
export type OnOpenEnd = (why: UpstreamError) => void

/**
 * All pages of the list at `path`, as `read` gets them. A page without a link is no proof of the end, for links are only a MAY of the
 * distribution-spec ("Listing Tags"): the list ends where names after the last one are asked for and nothing new comes. When that
 * question fails, `onOpenEnd` hears of it. Throws `UpstreamError` protocol for a list without end.
 */
export async function* listNames(
  { path: first, what, onOpenEnd }: { path: string; what: string; onOpenEnd?: OnOpenEnd | undefined },
  read: (path: string) => Promise<NamePage>,
): AsyncIterable<string[]> {
  const start = `${first}?n=${namesPerPage}`
  const asked = new Set<string>()
  const seen = new Set<string>()
  let count = 0
  let last: string | undefined
  let path = start
  for (let isProof = false; ; ) {
    asked.add(path)
    let page: NamePage
    try {
      page = await read(path)
    } catch (error) {
      if (!isProof || !(error instanceof UpstreamError)) throw error
      onOpenEnd?.(error)
      return
    }
    count += page.names.length
    const fresh = page.names.filter((name) => !seen.has(name))
    for (const name of fresh) seen.add(name)
    last = page.names.at(-1) ?? last
    if (count > mostNames || asked.size > mostPages)
      throw new UpstreamError('protocol', `${page.host} gave a list without end for ${what}`, { host: page.host })
    if (fresh.length > 0) yield fresh
    const isNext = page.next !== undefined && !asked.has(page.next)
    if (!isNext && ((isProof && fresh.length === 0) || last === undefined)) return
    isProof = !isNext
    path =
      isNext && page.next !== undefined ? page.next : `${start}&last=${encodeURIComponent((last ?? '').toWellFormed())}`
  }
}

/** Reads one page of a list that stands in `field` of the answer. */
export async function readNamePage(
  send: Send,
  asked: { path: string; field: 'tags' | 'repositories'; what: string; signal: AbortSignal | undefined } & (
    | { repository: string }
    | { scope: string }
  ),
): Promise<NamePage> {
  const { field, what, ...request } = asked
  const answer = await send({ method: 'GET', headers: { accept: 'application/json' }, ...request })
  const { host } = answer.url
  const names = readNames(await readText(answer, pageLimitBytes, what), field)
  if (!names) throw new UpstreamError('protocol', `${host} answered something that is no list for ${what}`, { host })
  return { names, next: nextPath(answer.headers.link, answer.url), host }
}

function readNames(text: string, field: string): string[] | undefined {
  try {
    const names = (JSON.parse(text) as Record<string, unknown>)[field]
    if (names === null) return []
    return Array.isArray(names) && names.every((name) => typeof name === 'string') ? names : undefined
  } catch {
    // the caller says what is wrong: it knows the host
    return undefined
  }
}

/** The next page of a list: only on the same origin, whatever the link says. */
export function nextPath(link: string | undefined, current: URL): string | undefined {
  const target = nextOf(link ?? '')
  if (target === undefined || !URL.canParse(target, current)) return undefined
  const url = new URL(target, current)
  return url.pathname + url.search
}
