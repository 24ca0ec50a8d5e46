import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseRanges, parseRoute, type Route } from '@berth/oci'
import type { Blob, Image, Manifest } from './content.ts'
import type { Answer, Fault } from './faults.ts'

export type Seen = { method: string; path: string; authorization: string | undefined; range: string | undefined }

/** A registry over real HTTP that behaves, except where a test said otherwise. */
export type MisbehavingUpstream = {
  readonly url: string
  readonly host: string
  /** Every request so far. */
  readonly seen: Seen[]
  /** Puts an image in under a tag, or under many. */
  add(repository: string, tag: string | readonly string[], image: Image): void
  /** Requests whose `METHOD /path` fits get the fault: the first `times` of them, or all. The rule made last goes first. */
  when(fits: RegExp, fault: Fault, times?: number): void
  /** Behaves from now on. */
  mend(): void
  close(): Promise<void>
}

type Rule = { fits: RegExp; fault: Fault; left: number }

export async function startMisbehavingUpstream(options: { host?: string } = {}): Promise<MisbehavingUpstream> {
  const content = createContent()
  const seen: Seen[] = []
  let rules: Rule[] = []
  const server = createServer((request, response) => {
    const { method = '', url: path = '' } = request
    const { authorization, range } = request.headers
    seen.push({ method, path, authorization, range })
    const answer = content.answer(path, request)
    const behave = () => send(request, response, answer)
    const rule = rules.find(({ fits, left }) => left > 0 && fits.test(`${method} ${path}`))
    if (!rule) return behave()
    rule.left--
    rule.fault({ request, response, answer, behave })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `${options.host ?? '127.0.0.1'}:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${host}`,
    host,
    seen,
    add: content.add,
    when: (fits, fault, times = Number.POSITIVE_INFINITY) => void rules.unshift({ fits, fault, left: times }),
    mend: () => {
      rules = []
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body)
}

function createContent(): { add: MisbehavingUpstream['add']; answer(path: string, request: IncomingMessage): Answer } {
  const blobs = new Map<string, Blob>()
  const manifests = new Map<string, Manifest>()
  const tags = new Map<string, string[]>()
  return {
    add: (repository, tag, { manifest, config, layers }) => {
      for (const blob of [config, ...layers]) blobs.set(`${repository}@${blob.digest}`, blob)
      const names = typeof tag === 'string' ? [tag] : tag
      for (const reference of [...names, manifest.digest]) manifests.set(`${repository}@${reference}`, manifest)
      tags.set(repository, [...new Set([...(tags.get(repository) ?? []), ...names])].sort())
    },
    answer: (path, request) => {
      const route = parseRoute(path.split('?')[0] ?? '')
      if (route?.kind === 'ping') return json(200, {})
      if (route?.kind === 'tags') {
        const list = tags.get(route.repository)
        return list ? json(200, { name: route.repository, tags: list }) : json(404, { errors: [] })
      }
      return (route && answerContent(route, request)) ?? json(404, { errors: [] })
    },
  }

  function answerContent(route: Route, request: IncomingMessage): Answer | undefined {
    if (route.kind === 'manifest') {
      const manifest = manifests.get(`${route.repository}@${route.tag ?? route.digest}`)
      return manifest && bytes(manifest, { 'content-type': manifest.mediaType })
    }
    if (route.kind !== 'blob') return undefined
    const blob = blobs.get(`${route.repository}@${route.digest}`)
    if (!blob) return undefined
    const ranges = parseRanges(request.headers.range, blob.bytes.length)
    const [range, ...others] = ranges === undefined || ranges === 'unsatisfiable' ? [] : ranges
    if (!range || others.length > 0) return bytes(blob, { 'content-type': 'application/octet-stream' })
    const part = blob.bytes.subarray(range.start, range.end + 1)
    const about = { 'content-range': `bytes ${range.start}-${range.end}/${blob.bytes.length}` }
    return { status: 206, headers: { ...about, 'content-length': String(part.length) }, body: part }
  }
}

function bytes({ bytes: body, digest }: Blob, headers: Record<string, string>): Answer {
  const length = { 'content-length': String(body.length), 'docker-content-digest': digest }
  return { status: 200, headers: { ...headers, ...length }, body }
}

function json(status: number, value: unknown): Answer {
  const body = Buffer.from(JSON.stringify(value))
  return { status, headers: { 'content-type': 'application/json', 'content-length': String(body.length) }, body }
}
