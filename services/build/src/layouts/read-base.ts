import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { algorithmOf, asDigest, hexOf } from '@berth/oci'
import { openUp } from './open-up.ts'

export type Descriptor = { mediaType: string; digest: string; size: number; [more: string]: unknown }
export type Manifest = { config: Descriptor; layers: Descriptor[]; [more: string]: unknown }

const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]

/** What an image in a layout is made of: its own descriptor, the blobs that are there, and its layers by what they unpack to. */
export type BaseContent = { descriptor: Descriptor; blobs: string[]; layers: Map<string, Descriptor> }

/** Reads a base. Of an index those images count that are there. */
export async function readBase({
  layout,
  digest,
  mediaType,
}: {
  layout: string
  digest: string
  mediaType: string
}): Promise<BaseContent> {
  await openUp(layout)
  const { size } = await stat(blobPath(layout, digest))
  const descriptor = { mediaType, digest, size }
  const content: BaseContent = { descriptor, blobs: [digest], layers: new Map() }
  if (!indexTypes.includes(mediaType)) {
    await readImage(layout, digest, content)
    return content
  }
  const index = await readJson<{ manifests: Descriptor[] }>(layout, digest)
  for (const { digest } of index.manifests) {
    if (!(await isThere(blobPath(layout, digest)))) continue
    content.blobs.push(digest)
    await readImage(layout, digest, content)
  }
  return content
}

async function readImage(layout: string, digest: string, into: BaseContent): Promise<void> {
  const manifest = await readJson<Manifest>(layout, digest)
  // An attestation in an index has no layers that a build could stand on.
  const config = await readJson<{ rootfs?: { diff_ids?: string[] } }>(layout, manifest.config.digest)
  into.blobs.push(manifest.config.digest, ...manifest.layers.map((layer) => layer.digest))
  const diffIds = config.rootfs?.diff_ids ?? []
  if (diffIds.length !== manifest.layers.length) return
  for (const [at, layer] of manifest.layers.entries()) into.layers.set(diffIds[at] ?? '', layer)
}

/** Where a blob of a layout lies. What is no digest throws: of some, a sandbox has said that they are. */
export function blobPath(layout: string, text: string): string {
  const digest = asDigest(text)
  return path.join(layout, 'blobs', algorithmOf(digest), hexOf(digest))
}

export async function readJson<T>(layout: string, digest: string): Promise<T> {
  return JSON.parse(await readFile(blobPath(layout, digest), 'utf8')) as T
}

async function isThere(file: string): Promise<boolean> {
  try {
    await stat(file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
