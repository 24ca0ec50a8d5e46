import { randomBytes } from 'node:crypto'
import { sha256 } from './sha256.ts'

/** A registry that takes pushes, Berth or another. */
export type Target = { url: string; authorization?: string }

const ociManifest = 'application/vnd.oci.image.manifest.v1+json'

export type Pushed = { digest: string; layers: string[]; text: string }

/** Pushes an image of random layers over plain HTTP; throws when any step is not acknowledged. */
export async function pushRandomImage(
  target: Target,
  repository: string,
  tag: string,
  layerBytes: readonly number[] = [2000],
): Promise<Pushed> {
  const layers = await Promise.all(layerBytes.map((size) => pushBlob(target, repository, randomBytes(size))))
  const configuration = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } }
  const config = await pushBlob(target, repository, Buffer.from(JSON.stringify(configuration)))
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: ociManifest,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer })),
  })
  await pushManifest(target, repository, tag, text, ociManifest)
  return { digest: sha256(text), layers: layers.map((layer) => layer.digest), text }
}

/** Pushes an image whose one layer is an archive of nothing, which podman can unpack. */
export async function pushEmptyImage(target: Target, repository: string, tag: string): Promise<void> {
  const layer = await pushBlob(target, repository, Buffer.alloc(1_024))
  const rootfs = { type: 'layers', diff_ids: [layer.digest] }
  const bytes = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs }))
  const config = await pushBlob(target, repository, bytes)
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: ociManifest,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer }],
  })
  await pushManifest(target, repository, tag, text, ociManifest)
}

/** Pushes a manifest under a tag or its digest. */
export async function pushManifest(
  target: Target,
  repository: string,
  reference: string,
  text: string,
  mediaType: string,
): Promise<void> {
  const path = `/v2/${repository}/manifests/${reference}`
  await send(target, 'PUT', path, 201, { body: text, headers: { 'content-type': mediaType } })
}

/** Pushes a blob and answers what a manifest says of it. */
export async function pushBlob(
  target: Target,
  repository: string,
  bytes: Buffer,
): Promise<{ digest: string; size: number }> {
  const digest = sha256(bytes)
  const upload = await startUpload(target, repository)
  const url = new URL(upload)
  url.searchParams.set('digest', digest)
  await send(target, 'PUT', url.href, 201, {
    body: new Uint8Array(bytes),
    headers: { 'content-type': 'application/octet-stream' },
  })
  return { digest, size: bytes.length }
}

/** Begins an upload and answers its URL. */
export async function startUpload(target: Target, repository: string): Promise<string> {
  const answer = await send(target, 'POST', `/v2/${repository}/blobs/uploads/`, 202)
  return new URL(answer.headers.get('location') ?? '', target.url).href
}

/** Sends a request with the target's login and expects a status. */
export async function send(
  target: Target,
  method: string,
  path: string,
  expected: number,
  more: { body?: BodyInit; headers?: Record<string, string> } = {},
): Promise<Response> {
  const headers = { ...more.headers, ...(target.authorization ? { authorization: target.authorization } : {}) }
  const answer = await fetch(new URL(path, target.url), { method, headers, ...(more.body ? { body: more.body } : {}) })
  if (answer.status === expected) return answer
  throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
}
