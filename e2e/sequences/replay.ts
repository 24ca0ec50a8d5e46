import { randomBytes } from 'node:crypto'
import { expect } from '@jest/globals'
import { everything } from '../conformance/berth.ts'
import { describe, digestOf, manifestType, octets, pathOf, type Reply, type Sent, Wire } from '../conformance/wire.ts'

/** A client as the registry sees it: its headers on every request, a token for each scope asked of it. */
export type Replay = {
  /** Sends a request; at a 401 with a challenge it gets a token and sends the request once more, as all of these do. */
  ask(method: string, path: string, sent?: Sent): Promise<Reply>
  /** Asks and expects a status. */
  must(status: number, method: string, path: string, sent?: Sent): Promise<Reply>
  /** From now on it asks for this scope too whenever it asks for a token, as containerd does for what it mounts from. */
  wants(scope: string): void
  /** The statuses of all that was sent, the 401s too. */
  statuses(): number[]
  close(): void
}

/** A Berth to replay against. */
export type Place = { url: string; authorization: string }

/** Starts a client with the headers that it puts on every request. */
export function startReplay(place: Place, userAgent: string, more: Record<string, string> = {}): Replay {
  const headers = { 'user-agent': userAgent, ...more }
  const wire = new Wire({ name: userAgent, url: place.url, headers, supports: everything })
  const statuses: number[] = []
  const scopes: string[] = []
  let token: string | undefined
  const send = async (method: string, path: string, sent: Sent) => {
    const authorization: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
    const reply = await wire.send(method, path, { ...sent, headers: { ...sent.headers, ...authorization } })
    statuses.push(reply.status)
    return reply
  }
  const ask: Replay['ask'] = async (method, path, sent = {}) => {
    const first = await send(method, path, sent)
    const challenge = first.headers['www-authenticate']
    if (first.status !== 401 || !challenge) return first
    token = await fetchToken(wire, challenge, scopes, place.authorization)
    return send(method, path, sent)
  }
  return {
    ask,
    must: async (status, method, path, sent) => {
      const reply = await ask(method, path, sent)
      const text = reply.status < 400 ? '' : reply.body.toString()
      expect({ method, path, status: reply.status, text }).toMatchObject({ method, path, status })
      return reply
    },
    wants: (scope) => {
      scopes.push(scope)
      token = undefined
    },
    statuses: () => statuses,
    close: () => wire.close(),
  }
}

async function fetchToken(wire: Wire, challenge: string, scopes: string[], authorization: string): Promise<string> {
  const fields = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]))
  const url = new URL(fields.realm ?? '')
  url.searchParams.set('service', fields.service ?? '')
  for (const scope of [fields.scope ?? '', ...scopes].filter(Boolean)) url.searchParams.append('scope', scope)
  url.searchParams.set('account', 'admin')
  const reply = await wire.send('GET', pathOf(url.href), { headers: { authorization } })
  expect(reply.status).toBe(200)
  return (JSON.parse(reply.body.toString()) as { token: string }).token
}

export type Image = { config: Buffer; layers: Buffer[]; manifest: Buffer; digest: string }

/** An image of fresh bytes that no registry has. */
export function freshImage(more: object = {}, type = manifestType): Image {
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', nonce: randomBytes(8).toString('hex') }),
  )
  const layers = [randomBytes(3_000), randomBytes(70_000)]
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      config: describe(config, 'application/vnd.oci.image.config.v1+json'),
      layers: layers.map((layer) => describe(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')),
      ...more,
    }),
  )
  return { config, layers, manifest, digest: digestOf(manifest) }
}

/** Bytes as a stream of unknown length, which goes out chunked. */
export function streamed(bytes: Buffer): Iterable<Buffer> {
  const half = Math.floor(bytes.length / 2)
  return [bytes.subarray(0, half), bytes.subarray(half)]
}

/** Adds the digest as Go's clients do: the query is parsed and written anew. */
export function closing(location: string | undefined, digest: string): string {
  const url = new URL(location ?? '', 'http://registry.invalid')
  url.searchParams.set('digest', digest)
  return url.pathname + url.search
}

/** Puts a whole image in by the shortest way, for sequences that pull. */
export async function give(client: Replay, repository: string, image: Image, ...references: string[]): Promise<void> {
  for (const bytes of [image.config, ...image.layers])
    await client.must(201, 'POST', `/v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`, {
      headers: octets,
      body: bytes,
    })
  const { mediaType } = JSON.parse(image.manifest.toString()) as { mediaType: string }
  for (const reference of references)
    await client.must(201, 'PUT', `/v2/${repository}/manifests/${reference}`, {
      headers: { 'content-type': mediaType },
      body: image.manifest,
    })
}
