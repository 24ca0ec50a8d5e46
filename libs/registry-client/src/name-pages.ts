import { readText } from './egress/read-text.ts'
import { UpstreamError } from './egress/upstream-error.ts'
import type { Send } from './send.ts'

export const namesPerPage = 1_000
const pageLimitBytes = 64 << 20
/** Where a list ends that an upstream never ends: far above what the largest registries hold. */
const mostPages = 2_000
const mostNames = 1_000_000

/** A page of a list of names, and the path of the next one. */
export type NamePage = { names: string[]; next: string | undefined; host: string }

/** All pages of a list that begins at `first`, as `read` gets them. Throws `UpstreamError` protocol for a list without end. */
export async function* listNames(
  { first, what }: { first: string; what: string },
  read: (path: string) => Promise<NamePage>,
): AsyncIterable<string[]> {
  let path: string | undefined = first
  const seen = new Set<string>()
  let count = 0
  while (path !== undefined && !seen.has(path)) {
    seen.add(path)
    const { names, next, host } = await read(path)
    count += names.length
    if (count > mostNames || seen.size > mostPages)
      throw new UpstreamError('protocol', `${host} gave a list without end for ${what}`, { host })
    if (names.length > 0) yield names
    path = next
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
  const target = /<([^>]+)>\s*;\s*rel="?next"?/.exec(link ?? '')?.[1]
  if (target === undefined || !URL.canParse(target, current)) return undefined
  const url = new URL(target, current)
  return url.pathname + url.search
}
