import { sha256 } from '../berth/sha256.ts'
import type { NemesisClient } from './client.ts'

const imageType = 'application/vnd.oci.image.manifest.v1+json'
const configType = 'application/vnd.oci.image.config.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar'
const baseLayers = 8
const chunkBytes = 1_500
// Less than the lease with which the nemesis starts Berth.
const heldForMs = 15_000

export type Image = { digest: string; text: string; blobs: Buffer[] }

/** An image that shares one of a few base layers with others. */
export function makeImage(name: string, random: () => number): Image {
  const base = Math.floor(random() * baseLayers)
  const layers = [Buffer.alloc(3_000 + base, `base ${base} `), Buffer.alloc(2_000, `own ${name} `)]
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', name }))
  const describe = (bytes: Buffer, mediaType: string) => ({ mediaType, digest: sha256(bytes), size: bytes.length })
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: imageType,
    config: describe(config, configType),
    layers: layers.map((layer) => describe(layer, layerType)),
  })
  return { digest: sha256(text), text, blobs: [config, ...layers] }
}

/** Pushes as clients do. `begun` is called before the first byte by which a tag may move. Answers whether it was acknowledged. */
export async function push(
  client: NemesisClient,
  place: { repository: string; tag: string; image: Image; random: () => number },
  begun: () => void,
): Promise<boolean> {
  const { repository, tag, image, random } = place
  const startedAt = Date.now()
  for (const bytes of image.blobs) if (!(await pushBlob(client, repository, bytes, random() < 0.3))) return false
  begun()
  // All that it names was acknowledged, so it may not be refused while that is held for the push.
  const isSure = Date.now() - startedAt < heldForMs
  const path = `/v2/${repository}/manifests/${tag}`
  const reply = await client.send('PUT', path, { body: image.text, type: imageType, isSure })
  return reply?.status === 201
}

async function pushBlob(client: NemesisClient, repository: string, bytes: Buffer, inChunks: boolean): Promise<boolean> {
  const digest = sha256(bytes)
  const found = await client.send('HEAD', `/v2/${repository}/blobs/${digest}`)
  if (found?.status === 200) return true
  const begun = await client.send('POST', `/v2/${repository}/blobs/uploads/`)
  let place = placeOf(begun?.status === 202 ? begun.headers : undefined)
  const patches = inChunks ? bytes.length : 0
  for (let at = 0; place && at < patches; at += chunkBytes) {
    const body = bytes.subarray(at, at + chunkBytes)
    const patched = await client.send('PATCH', place, { body, type: 'application/octet-stream' })
    place = placeOf(patched?.status === 202 ? patched.headers : undefined)
  }
  if (!place) return false
  const end = `${place}${place.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`
  const ended = await client.send('PUT', end, inChunks ? {} : { body: bytes, type: 'application/octet-stream' })
  return ended?.status === 201
}

function placeOf(headers: Headers | undefined): string | undefined {
  const location = headers?.get('location')
  if (!location) return undefined
  const { pathname, search } = new URL(location, 'http://localhost')
  return `${pathname}${search}`
}

/** Something was away, so nothing is known. */
export const unknown = Symbol('unknown')

/**
 * What a tag stands for, pulled with all that it names and hashed. `undefined`: there is none; `unknown`: something was away.
 * A digest whose parts are not all there is told by `half`, unless the tag has moved meanwhile.
 */
export async function pull(
  client: NemesisClient,
  repository: string,
  tag: string,
  half: (what: string) => void,
): Promise<string | undefined | typeof unknown> {
  const path = `/v2/${repository}/manifests/${tag}`
  const reply = await client.send('GET', path)
  if (reply?.status === 404) return undefined
  if (reply?.status !== 200) return unknown
  const digest = sha256(reply.bytes)
  if (reply.headers.get('docker-content-digest') !== digest) half(`${path}: its bytes are not those of its digest`)
  const { config, layers } = JSON.parse(reply.bytes.toString()) as {
    config: { digest: string }
    layers: { digest: string }[]
  }
  for (const { digest: wanted } of [config, ...layers]) {
    const blob = await client.send('GET', `/v2/${repository}/blobs/${wanted}`)
    if (!blob || blob.status === 503) return unknown
    if (blob.status === 200 && sha256(blob.bytes) === wanted) continue
    const again = await client.send('HEAD', path)
    if (again?.headers.get('docker-content-digest') === digest) half(`${path} names ${wanted}, which is ${blob.status}`)
    return unknown
  }
  return digest
}
