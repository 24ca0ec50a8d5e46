import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import path from 'node:path'
import type { Subject } from './subjects.ts'

export type Blob = { digest: string; bytes: Buffer }
export type Image = { config: Blob; layers: Blob[]; manifest: Blob }

const manifestType = 'application/vnd.oci.image.manifest.v1+json'

export function blobOf(bytes: Buffer): Blob {
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes }
}

/** An image that no registry has seen: random layers, `shared` ones first. */
export function newImage(layerCount: number, layerBytes: number, shared: readonly Blob[] = []): Image {
  const layers = [
    ...shared,
    ...Array.from({ length: layerCount - shared.length }, () => blobOf(randomBytes(layerBytes))),
  ]
  const config = blobOf(
    Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
        nonce: randomBytes(8).toString('hex'),
      }),
    ),
  )
  const describe = (blob: Blob, mediaType: string) => ({ mediaType, digest: blob.digest, size: blob.bytes.length })
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    config: describe(config, 'application/vnd.oci.image.config.v1+json'),
    layers: layers.map((layer) => describe(layer, 'application/vnd.oci.image.layer.v1.tar')),
  }
  return { config, layers, manifest: blobOf(Buffer.from(JSON.stringify(manifest))) }
}

/** Writes an image as an OCI layout, for skopeo. */
export function writeLayout(folder: string, image: Image, tag: string): void {
  const blobs = path.join(folder, 'blobs', 'sha256')
  mkdirSync(blobs, { recursive: true })
  for (const blob of [image.config, image.manifest, ...image.layers])
    writeFileSync(path.join(blobs, blob.digest.slice('sha256:'.length)), blob.bytes)
  writeFileSync(path.join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const descriptor = {
    mediaType: manifestType,
    digest: image.manifest.digest,
    size: image.manifest.bytes.length,
    annotations: { 'org.opencontainers.image.ref.name': tag },
  }
  writeFileSync(path.join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }))
}

type Answer = { status: number; location: string }

/** A connection to a registry that is kept alive, as clients keep theirs. */
export class Pusher {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #subject: Subject
  readonly #repository: string
  #headers: Record<string, string> = {}

  constructor(subject: Subject, repository: string) {
    this.#subject = subject
    this.#repository = repository
  }

  async login(): Promise<void> {
    this.#headers = await this.#subject.authorization(this.#repository)
  }

  /** One token for many repositories. */
  async loginFor(repositories: readonly string[]): Promise<void> {
    const scopes = repositories.map((name) => `repository:${name}:pull,push`)
    this.#headers = await this.#subject.authorization(this.#repository, scopes.join(' '))
  }

  /** Mounts a blob into another repository than the pusher's, out of that one. */
  async mountBlob(blob: Blob, into: string): Promise<void> {
    const query = `mount=${blob.digest}&from=${this.#repository}`
    const { status } = await this.#send('POST', `/v2/${into}/blobs/uploads/?${query}`)
    if (status !== 201) throw new Error(`${this.#subject.name} answered ${status} to a mount`)
  }

  close(): void {
    this.#agent.destroy()
  }

  /** HEAD, POST, PUT: what clients do for a small blob. */
  async pushBlob(blob: Blob): Promise<void> {
    const at = `/v2/${this.#repository}/blobs`
    if ((await this.#send('HEAD', `${at}/${blob.digest}`)).status === 200) return
    const { location } = await this.#send('POST', `${at}/uploads/`)
    const target = new URL(location, this.#subject.url)
    target.searchParams.set('digest', blob.digest)
    const { status } = await this.#send('PUT', target.pathname + target.search, blob.bytes, 'application/octet-stream')
    if (status !== 201) throw new Error(`${this.#subject.name} answered ${status} to a blob`)
  }

  async pushManifest(image: Image, tag: string): Promise<void> {
    const { status } = await this.#send(
      'PUT',
      `/v2/${this.#repository}/manifests/${tag}`,
      image.manifest.bytes,
      manifestType,
    )
    if (status !== 201) throw new Error(`${this.#subject.name} answered ${status} to a manifest`)
  }

  async pushImage(image: Image, tag: string): Promise<void> {
    for (const blob of [image.config, ...image.layers]) await this.pushBlob(blob)
    await this.pushManifest(image, tag)
  }

  #send(method: string, target: string, body?: Buffer, contentType?: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = {
        ...this.#headers,
        'content-length': body?.length ?? 0,
        ...(contentType ? { 'content-type': contentType } : {}),
      }
      const outgoing = request(
        new URL(target, this.#subject.url),
        { method, agent: this.#agent, headers },
        (answer) => {
          answer.resume()
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, location: answer.headers.location ?? '' }))
        },
      )
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }
}
