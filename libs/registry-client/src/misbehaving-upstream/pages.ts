import type { Answer, Fault } from './faults.ts'

/** How a list may be cut into pages, well and badly. */
export type PageQuirk =
  | 'relative link'
  | 'absolute link'
  | 'link to another host'
  | 'link without quotes'
  | 'unsorted'
  | 'names twice'
  | 'the last page links to itself'
  | 'the same page for ever'
  | 'an empty page in the middle'

/** Gives a list (`tags` or `repositories`) in pages of so many names, by `?last=` as registries do, with a quirk. */
export function inPages(field: 'tags' | 'repositories', perPage: number, quirk: PageQuirk): Fault {
  return ({ request, response, answer }) => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`)
    const all = namesOf(answer, field, quirk)
    const startsAt = Number(url.searchParams.get('from') ?? 0)
    const isForEver = quirk === 'the same page for ever'
    const names = isForEver ? all.slice(0, perPage) : all.slice(startsAt, startsAt + perPage)
    const next = startsAt + perPage
    const isLast = !isForEver && next >= all.length
    const isEmpty = quirk === 'an empty page in the middle' && startsAt === perPage && !url.searchParams.has('again')
    const target = isEmpty ? `${url.pathname}?from=${startsAt}&again=1` : `${url.pathname}?from=${next}`
    const link = linkTo(isLast ? url.pathname + url.search : target, url, quirk)
    const hasLink = !isLast || isEmpty || quirk === 'the last page links to itself'
    response.writeHead(200, { 'content-type': 'application/json', ...(hasLink ? { link } : {}) })
    response.end(JSON.stringify({ [field]: isEmpty ? [] : names }))
  }
}

function namesOf(answer: Answer, field: string, quirk: PageQuirk): string[] {
  const names = (JSON.parse(answer.body.toString('utf8')) as Record<string, string[]>)[field] ?? []
  if (quirk === 'unsorted') return names.toReversed()
  return quirk === 'names twice' ? names.flatMap((name) => [name, name]) : names
}

function linkTo(path: string, url: URL, quirk: PageQuirk): string {
  if (quirk === 'absolute link') return `<${url.origin}${path}>; rel="next"`
  if (quirk === 'link to another host') return `<https://198.51.100.1${path}>; rel="next"`
  return quirk === 'link without quotes' ? `<${path}>; rel=next` : `<${path}>; rel="next"`
}

/** Gives a list in pages of `n` names, at most so many, that follow `last`, and never a link: all that the specification demands. */
export function byLast(field: 'tags' | 'repositories', mostPerPage: number): Fault {
  return ({ request, response, answer }) => {
    const { searchParams } = new URL(request.url ?? '/', `http://${request.headers.host}`)
    const all = namesOf(answer, field, 'relative link')
    const last = searchParams.get('last') ?? ''
    const perPage = Math.min(Number(searchParams.get('n') ?? mostPerPage), mostPerPage)
    const names = all.filter((name) => name > last).slice(0, perPage)
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ [field]: names }))
  }
}
