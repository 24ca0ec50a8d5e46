import { createHash } from 'node:crypto'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'

/** What a peer may leave out or do wrong; a test that needs more than the target has is not run on it. */
export const abilities = [
  'anonymousMount',
  'chunkOrder',
  'chunkedPut',
  'digestGrammar',
  'foreignLayers',
  'lists',
  'manyRanges',
  'referrers',
  'sha512',
  'singlePost',
  'tagPages',
  'unsatisfiableRange',
] as const
export type Ability = (typeof abilities)[number]

/** A registry that the suite speaks to. Peers leave out parts of the specification; what they do is `supports`. */
export type Target = {
  name: string
  url: string
  /** Sent with every request. */
  headers: Record<string, string>
  supports: Record<Ability, boolean>
  /** What `OCI-Chunk-Min-Length` says there; undefined where any chunk is as good. */
  chunkMinLength?: string
}

export type Reply = { status: number; headers: IncomingHttpHeaders; body: Buffer }
export type Sent = { headers?: Record<string, string>; body?: Buffer | Iterable<Buffer> }

export const octets = { 'content-type': 'application/octet-stream' }
export const manifestType = 'application/vnd.oci.image.manifest.v1+json'
export const indexType = 'application/vnd.oci.image.index.v1+json'

/** A connection of one test to the registry: bare requests, nothing followed, nothing tried again. */
export class Wire {
  readonly target: Target
  readonly #agent = new Agent({ keepAlive: true })

  constructor(target: Target) {
    this.target = target
  }

  close(): void {
    this.#agent.destroy()
  }

  /** Sends one request; a body of several buffers goes out chunked, without a length. */
  send(method: string, path: string, { headers = {}, body }: Sent = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const length = body === undefined || Buffer.isBuffer(body) ? { 'content-length': String(body?.length ?? 0) } : {}
      const bodyless = method === 'GET' || method === 'HEAD'
      const outgoing = request(
        new URL(path, this.target.url),
        { method, agent: this.#agent, headers: { ...this.target.headers, ...(bodyless ? {} : length), ...headers } },
        (answer) => {
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk))
          answer.on('error', reject)
          answer.on('end', () =>
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }),
          )
        },
      )
      outgoing.on('error', reject)
      if (body !== undefined && !Buffer.isBuffer(body)) for (const part of body) outgoing.write(part)
      outgoing.end(Buffer.isBuffer(body) ? body : undefined)
    })
  }

  /** Begins an upload and answers its place. */
  async begin(repository: string): Promise<string> {
    const { headers } = await this.send('POST', `/v2/${repository}/blobs/uploads/`)
    return headers.location ?? ''
  }

  /** Puts a blob in by POST and PUT. */
  async push(repository: string, bytes: Buffer, algorithm: 'sha256' | 'sha512' = 'sha256'): Promise<string> {
    const digest = digestOf(bytes, algorithm)
    const { status } = await this.send('PUT', withDigest(await this.begin(repository), digest), {
      headers: octets,
      body: bytes,
    })
    if (status !== 201) throw new Error(`${this.target.name} answered ${status} to a blob`)
    return digest
  }

  /** Puts a manifest in under a tag or its digest. */
  async pushManifest(
    repository: string,
    manifest: object | Buffer,
    reference?: string,
    type = manifestType,
  ): Promise<{ digest: string; bytes: Buffer; reply: Reply }> {
    const bytes = Buffer.isBuffer(manifest) ? manifest : Buffer.from(JSON.stringify(manifest, null, 2))
    const digest = digestOf(bytes)
    const reply = await this.send('PUT', `/v2/${repository}/manifests/${reference ?? digest}`, {
      headers: { 'content-type': type },
      body: bytes,
    })
    return { digest, bytes, reply }
  }
}

export function digestOf(bytes: Buffer, algorithm: 'sha256' | 'sha512' = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** Adds the digest to an upload's place, whatever query it has already. */
export function withDigest(location: string, digest: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`
}

/** The path of a Location, relative or not. */
export function pathOf(location: string | undefined): string {
  const url = new URL(location ?? '', 'http://registry.invalid')
  return url.pathname + url.search
}

/** A descriptor of bytes. */
export function describe(bytes: Buffer, mediaType: string): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}
