import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sha256 } from '../requests.ts'

/** What goes wrong, and only with the one layer of the image: everything before it is answered well. */
export const faults = [
  'wrong bytes',
  'short body',
  '401',
  '404',
  '429',
  '500',
  'cut',
  'hang',
  'other manifest',
] as const
export type Fault = (typeof faults)[number]

export type BrokenUpstream = { url: string; host: string; stop(): Promise<void> }

const layerBytes = 100_000
const manifestType = 'application/vnd.oci.image.manifest.v1+json'

type Image = { config: Buffer; layer: Buffer; manifest: Buffer }

// Each repository has content of its own: what one of them gave must not help another.
function imageOf(repository: string): Image {
  const layer = Buffer.alloc(layerBytes, repository)
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', author: repository }))
  const described = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: sha256(bytes), size: bytes.length })
  const parts = {
    config: described('application/vnd.oci.image.config.v1+json', config),
    layers: [described('application/vnd.oci.image.layer.v1.tar', layer)],
  }
  return {
    config,
    layer,
    manifest: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: manifestType, ...parts })),
  }
}

/** The digests of the image in a repository. */
export function digestsIn(repository: string): { config: string; layer: string; manifest: string } {
  const { config, layer, manifest } = imageOf(repository)
  return { config: sha256(config), layer: sha256(layer), manifest: sha256(manifest) }
}

/** The name of the repository with a fault; behind `once-` it has it the first time only. */
export function repositoryWith(fault: Fault): string {
  return fault.replaceAll(' ', '-')
}

/** A registry over real HTTP with an image in one repository for each fault. */
export async function startBrokenUpstream(): Promise<BrokenUpstream> {
  const done = new Set<string>()
  const server = createServer((request, response) => {
    const [, name = '', kind, reference = ''] =
      /^\/v2\/([^/]+)\/(tags|manifests|blobs)\/([^?]+)/.exec(request.url ?? '') ?? []
    const image = imageOf(name)
    if (kind === 'tags') return sendJson(response, { name, tags: ['one'] })
    if (kind === 'manifests') return sendManifest(request, response, name, image)
    if (kind === 'blobs' && reference === sha256(image.config)) return send(request, response, image.config)
    if (kind !== 'blobs') return send(request, response, Buffer.from('{}'))
    if (name.startsWith('once-') && done.has(name)) return send(request, response, image.layer)
    done.add(name)
    fail(request, response, name.replace(/^once-/, ''), image)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host,
    url: `http://${host}`,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function sendManifest(request: IncomingMessage, response: ServerResponse, name: string, { manifest }: Image): void {
  const other = name === 'other-manifest' && request.method === 'GET'
  response.setHeader('docker-content-digest', sha256(manifest))
  // Another text than its digest says, of the same length.
  send(
    request,
    response,
    other ? Buffer.from(manifest.toString().replace('layer.v1.tar', 'layer.v1.rat')) : manifest,
    manifestType,
  )
}

function fail(request: IncomingMessage, response: ServerResponse, fault: string, { layer }: Image): void {
  if (/^\d+$/.test(fault))
    return void response.writeHead(Number(fault), { 'content-type': 'application/json' }).end('{}')
  if (fault === 'wrong-bytes') return send(request, response, Buffer.alloc(layer.length, 'bogus'))
  if (fault === 'hang') return
  response.writeHead(200, { 'content-length': fault === 'short-body' ? layer.length / 2 : layer.length })
  response.write(layer.subarray(0, layer.length / 2), () => (fault === 'cut' ? response.destroy() : response.end()))
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  type = 'application/octet-stream',
): void {
  response.writeHead(200, { 'content-type': type, 'content-length': bytes.length })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
