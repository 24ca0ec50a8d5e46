import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import {
  algorithmOf,
  asDigest,
  type Digest,
  hexOf,
  manifestLimitBytes,
  type ParsedManifest,
  parseManifest,
} from '@berth/oci'

export type BuiltManifest = ParsedManifest & { digest: Digest; bytes: Buffer }
/** What an engine has put out: its manifests, those that name others behind them, and the blobs that they name. */
export type BuiltContent = { manifests: BuiltManifest[]; blobs: Map<Digest, { file: string; sizeBytes: number }> }

/** The file of a digest in the first layout that has it. */
function fileIn(layouts: readonly string[], digest: Digest): string {
  const files = layouts.map((layout) => path.join(layout, 'blobs', algorithmOf(digest), hexOf(digest)))
  const file = files.find((one) => existsSync(one))
  if (file === undefined) throw new Error(`the result names ${digest}, which is not there`)
  return file
}

/**
 * Reads what an engine has put out, from one digest on: it may name what lies in the layouts of its bases. What does not hold together
 * throws: it is no image.
 */
export async function readResult(layouts: readonly string[], digestText: string): Promise<BuiltContent> {
  const fileOf = (digest: Digest) => fileIn(layouts, digest)
  const manifests = new Map<Digest, BuiltManifest>()
  const blobs: BuiltContent['blobs'] = new Map()
  const read = async (digest: Digest): Promise<void> => {
    if (manifests.has(digest)) return
    const bytes = await readFile(fileOf(digest))
    if (bytes.length > manifestLimitBytes) throw new Error(`the manifest ${digest} of the result is too large`)
    const parsed = parseManifest(bytes)
    for (const { role, digest: child, sizeBytes = 0 } of parsed.references) {
      if (role === 'manifest') await read(child)
      else if (role === 'config' || role === 'layer') blobs.set(child, { file: fileOf(child), sizeBytes })
    }
    manifests.set(digest, { ...parsed, digest, bytes })
  }
  await read(asDigest(digestText))
  return { manifests: [...manifests.values()], blobs }
}
