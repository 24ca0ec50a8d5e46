import { readText } from './read-text.ts'
import type { Send } from './send.ts'
import { UpstreamError } from './upstream-error.ts'

const tagsPerPage = 1_000
const pageLimitBytes = 64 << 20
/** Where a list ends that an upstream never ends: far above what the largest repositories hold. */
const mostPages = 2_000
const mostTags = 1_000_000

/** A page of a tag list, and the path of the next one. */
export type TagPage = { tags: string[]; next: string | undefined; host: string }

/** All pages of a list, as `read` gets them. Throws `UpstreamError` protocol for a list without end. */
export async function* listTags(repository: string, read: (path: string) => Promise<TagPage>): AsyncIterable<string[]> {
  let path: string | undefined = `/v2/${repository}/tags/list?n=${tagsPerPage}`
  const seen = new Set<string>()
  let count = 0
  while (path !== undefined && !seen.has(path)) {
    seen.add(path)
    const { tags, next, host } = await read(path)
    count += tags.length
    if (count > mostTags || seen.size > mostPages)
      throw new UpstreamError('protocol', `${host} gave a list of tags without end for ${repository}`, { host })
    if (tags.length > 0) yield tags
    path = next
  }
}

/** Reads one page. */
export async function readTagPage(
  send: Send,
  { repository, path, signal }: { repository: string; path: string; signal: AbortSignal | undefined },
): Promise<TagPage> {
  const answer = await send({ method: 'GET', path, repository, headers: { accept: 'application/json' }, signal })
  const { host } = answer.url
  const tags = readTags(await readText(answer, pageLimitBytes, `the tags of ${repository}`))
  if (!tags)
    throw new UpstreamError('protocol', `${host} answered something that is no tag list for ${repository}`, { host })
  return { tags, next: nextPath(answer.headers.link, answer.url), host }
}

function readTags(text: string): string[] | undefined {
  try {
    const { tags } = JSON.parse(text) as { tags?: unknown }
    if (tags === null) return []
    return Array.isArray(tags) && tags.every((tag) => typeof tag === 'string') ? tags : undefined
  } catch {
    // the caller says what is wrong: it knows the host
    return undefined
  }
}

/** The next page of a list: only on the same origin, whatever the link says. */
function nextPath(link: string | undefined, current: URL): string | undefined {
  const target = /<([^>]+)>\s*;\s*rel="?next"?/.exec(link ?? '')?.[1]
  if (target === undefined || !URL.canParse(target, current)) return undefined
  const url = new URL(target, current)
  return url.pathname + url.search
}
