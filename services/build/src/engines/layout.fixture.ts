import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { blobPath, type Descriptor, type Manifest, readJson } from '../layouts/read-base.ts'

/** What an OCI layout of one image holds. */
export async function readLayout(layout: string) {
  const index = JSON.parse(await readFile(path.join(layout, 'index.json'), 'utf8')) as { manifests: Descriptor[] }
  const image = index.manifests[0]
  if (!image) throw new Error(`${layout} holds nothing`)
  const manifest = await readJson<Manifest & { manifests?: Descriptor[] }>(layout, image.digest)
  const config = manifest.config && (await readJson<Record<string, unknown>>(layout, manifest.config.digest))
  return { image, manifest, config, blobs: await readdir(path.dirname(blobPath(layout, image.digest))) }
}
