import { createHash } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { blobPath, type Descriptor, type Manifest, readJson } from './read-base.ts'

export const imageType = 'application/vnd.oci.image.manifest.v1+json'
export const indexType = 'application/vnd.oci.image.index.v1+json'

// What layers of docker are called in an OCI manifest; their bytes are the same.
const ociTypes: Readonly<Record<string, string>> = {
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'application/vnd.oci.image.layer.v1.tar+gzip',
  'application/vnd.docker.image.rootfs.diff.tar': 'application/vnd.oci.image.layer.v1.tar',
}

type Config = { architecture?: string; os?: string; variant?: string; rootfs?: { diff_ids?: string[] } }

/**
 * Gives an image the descriptors that its base has for their common layers, where the engine wrote its own, and says what it is for.
 * Annotations of the engine name things of the sandbox, and are left out.
 */
export async function adoptLayers(
  layout: string,
  image: Descriptor,
  known: ReadonlyMap<string, Descriptor>,
): Promise<{ image: Descriptor; platform: Descriptor['platform'] }> {
  const { annotations: _, ...manifest } = await readJson<Manifest>(layout, image.digest)
  const { architecture, os, variant, rootfs } = await readJson<Config>(layout, manifest.config.digest)
  const diffIds = rootfs?.diff_ids ?? []
  const layers = manifest.layers.map((own, at) => {
    const base = known.get(diffIds[at] ?? '')
    return base ? ociDescriptor(base) : own
  })
  await rm(blobPath(layout, image.digest))
  const adopted = await writeManifest(layout, imageType, { ...manifest, layers })
  return { image: adopted, platform: { architecture, os, ...(variant === undefined ? {} : { variant }) } }
}

/** A layer of a base as an OCI manifest names it. */
export function ociDescriptor({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType: ociTypes[mediaType] ?? mediaType, digest, size }
}

/** Says what a layout holds. */
export async function closeLayout(layout: string, image: Descriptor): Promise<void> {
  await writeFile(path.join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  await writeFile(path.join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [image] }))
}

/** Writes an index of images. */
export function writeIndex(layout: string, manifests: Descriptor[]): Promise<Descriptor> {
  return writeManifest(layout, indexType, { schemaVersion: 2, mediaType: indexType, manifests })
}

/** Writes a manifest as a blob of a layout. */
export async function writeManifest(layout: string, mediaType: string, content: object): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(content))
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  await writeFile(blobPath(layout, digest), bytes, { mode: 0o644 })
  return { mediaType, digest, size: bytes.length }
}
