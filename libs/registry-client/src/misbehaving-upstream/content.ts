import { createHash } from 'node:crypto'
import { asDigest, type Digest, mediaTypes } from '@berth/oci'

export type Blob = { digest: Digest; bytes: Buffer }
export type Manifest = Blob & { mediaType: string }
export type Image = { manifest: Manifest; config: Blob; layers: Blob[] }

/** Bytes under their SHA-256. */
export function blobOf(bytes: Buffer): Blob {
  return { bytes, digest: asDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`) }
}

/** A manifest of any kind, from what stands in it. */
export function manifestOf(body: { mediaType: string }): Manifest {
  return { ...blobOf(Buffer.from(JSON.stringify(body))), mediaType: body.mediaType }
}

let mark = ''

/** Puts a mark into all images from now on, so that those of several test files differ in a store that all of them fill. */
export function markImages(text: string): void {
  mark = `${text} `
}

/** An image with a layer of each size in bytes. The same name and sizes give the same bytes under the same mark. */
export function imageOf(name: string, ...layerBytes: number[]): Image {
  const config = blobOf(Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', name: `${mark}${name}` })))
  const layers = layerBytes.map((size, i) => blobOf(Buffer.alloc(size, `${mark}${name} ${i} `)))
  const descriptor = ({ digest, bytes }: Blob, mediaType: string) => ({ mediaType, digest, size: bytes.length })
  const body = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: descriptor(config, 'application/vnd.oci.image.config.v1+json'),
    layers: layers.map((layer) => descriptor(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')),
  }
  return {
    manifest: manifestOf(body),
    config,
    layers,
  }
}
