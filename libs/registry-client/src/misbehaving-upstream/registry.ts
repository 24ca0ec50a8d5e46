import type { IncomingMessage } from 'node:http'
import { mediaTypes, OciError, parseRanges, parseRoute, type Route } from '@berth/oci'
import type { Blob, Image, Manifest } from './content.ts'
import type { Answer } from './faults.ts'

export type Content = {
  add: (repository: string, tag: string | readonly string[], image: Image) => void
  addManifest: (repository: string, manifest: Manifest, tag?: string) => void
  addBlobs: (repository: string, ...blobs: Blob[]) => void
  answer: (path: string, request: IncomingMessage) => Answer
}

/** What a registry has, and how it answers when it behaves. */
export function createContent({ referrersApi }: { referrersApi: boolean }): Content {
  const blobs = new Map<string, Blob>()
  const manifests = new Map<string, Manifest>()
  const tags = new Map<string, string[]>()
  const put = (repository: string, manifest: Manifest, names: readonly string[]) => {
    for (const reference of [...names, manifest.digest]) manifests.set(`${repository}@${reference}`, manifest)
    tags.set(repository, [...new Set([...(tags.get(repository) ?? []), ...names])].sort())
  }
  return {
    add: (repository, tag, { manifest, config, layers }) => {
      for (const blob of [config, ...layers]) blobs.set(`${repository}@${blob.digest}`, blob)
      put(repository, manifest, typeof tag === 'string' ? [tag] : tag)
    },
    addBlobs: (repository, ...added) => {
      for (const blob of added) blobs.set(`${repository}@${blob.digest}`, blob)
    },
    addManifest: (repository, manifest, tag) => put(repository, manifest, tag === undefined ? [] : [tag]),
    answer: (path, request) => {
      const route = routeOf(path.split('?')[0] ?? '')
      if (route === 'bad') return json(400, { errors: [] })
      if (route?.kind === 'ping') return json(200, {})
      if (route?.kind === 'tags') {
        const list = tags.get(route.repository)
        return list ? json(200, { name: route.repository, tags: list }) : json(404, { errors: [] })
      }
      if (route?.kind === 'catalog') return json(200, { repositories: [...tags.keys()].sort() })
      if (route?.kind === 'referrers' && referrersApi) return referrersOf(route.repository, route.digest)
      return (route && answerContent(route, request)) ?? json(404, { errors: [] })
    },
  }

  function referrersOf(repository: string, digest: string): Answer {
    const listed = [...manifests.entries()]
      .filter(([key, manifest]) => key === `${repository}@${manifest.digest}` && subjectOf(manifest) === digest)
      .map(([, { digest, mediaType, bytes }]) => ({ mediaType, digest, size: bytes.length, ...artifactOf(bytes) }))
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: listed }
    return json(200, index, mediaTypes.ociIndex)
  }

  function answerContent(route: Route, request: IncomingMessage): Answer | undefined {
    if (route.kind === 'manifest') {
      const manifest = manifests.get(`${route.repository}@${route.tag ?? route.digest}`)
      if (manifest && request.headers['if-none-match'] === `"${manifest.digest}"`) return notModified
      return manifest && bytes(manifest, { 'content-type': manifest.mediaType, etag: `"${manifest.digest}"` })
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

/** Registries refuse what has a colon and is no digest, or is no tag. */
function routeOf(path: string): Route | undefined | 'bad' {
  try {
    return parseRoute(path)
  } catch (error) {
    if (error instanceof OciError) return 'bad'
    throw error
  }
}

/** As distribution says it: neither digest nor entity tag. */
const notModified: Answer = { status: 304, headers: {}, body: Buffer.alloc(0) }

function bytes({ bytes: body, digest }: Blob, headers: Record<string, string>): Answer {
  const length = { 'content-length': String(body.length), 'docker-content-digest': digest }
  return { status: 200, headers: { ...headers, ...length }, body }
}

type Body = { artifactType?: string; annotations?: object; subject?: { digest?: string } }

function subjectOf({ bytes }: Manifest): string | undefined {
  return (JSON.parse(bytes.toString('utf8')) as Body).subject?.digest
}

function artifactOf(bytes: Buffer): Pick<Body, 'artifactType' | 'annotations'> {
  const { artifactType, annotations } = JSON.parse(bytes.toString('utf8')) as Body
  return { ...(artifactType ? { artifactType } : {}), ...(annotations ? { annotations } : {}) }
}

function json(status: number, value: unknown, type = 'application/json'): Answer {
  const body = Buffer.from(JSON.stringify(value))
  return { status, headers: { 'content-type': type, 'content-length': String(body.length) }, body }
}
