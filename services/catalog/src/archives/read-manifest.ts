import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, hexOf, manifestLimitBytes, type ParsedManifest } from '@berth/oci'
import { type Archive, readBlob } from './archive.ts'
import { BadArchive } from './bad-archive.ts'
import { parseAt } from './image-graph.ts'
import type { ManifestLine } from './list-lines.ts'

type ReadManifest = {
  record: Omit<ParsedManifest, 'signed'>
  bytes: Buffer
  /** The blob that has the bytes, where the manifest itself is a part of them. */
  envelope: { digest: Digest; length: number } | undefined
}

/** What a manifest says; of a signed schema 1 manifest its envelope says it, and has its bytes in it. */
export async function readManifest(
  archive: Archive,
  { manifest, envelope, mediaType }: ManifestLine,
): Promise<ReadManifest> {
  const bytes = await readBlob(archive, envelope ?? manifest, manifestLimitBytes)
  const { signed, ...record } = parseAt(archive, envelope ?? manifest, bytes, mediaType)
  if (envelope === undefined) return { record, bytes, envelope: undefined }
  const payload = createHash(algorithmOf(manifest))
    .update(signed?.payload ?? '')
    .digest('hex')
  if (payload !== hexOf(manifest))
    throw new BadArchive(archive.placeOf(envelope), `is not the signed form of ${manifest}`)
  return { record, bytes, envelope: { digest: envelope, length: bytes.length } }
}
