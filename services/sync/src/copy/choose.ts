import { buffer } from 'node:stream/consumers'
import type { BlobStore } from '@berth/blobs'
import type { ManifestRecord, OmittedChild } from '@berth/commands'
import { type Digest, parseManifest, type Reference } from '@berth/oci'
import { Problem } from '@berth/service'
import { chooseChildren } from '../filters/platform-filter.ts'

/** What was chosen of indexes: to tell at the end which have nothing that is wanted. Only of indexes that were filtered. */
export type ChosenIndexes = Map<Digest, { children: Digest[]; offers: string[] }>

/** What a manifest that is taken names: what is to be taken too, and what not. */
export type Taken = { record: ManifestRecord; kept: Reference[]; omitted: OmittedChild[] }

type Choosing = {
  blobs: BlobStore
  platforms: readonly string[]
  indexes: ChosenIndexes
  includeForeignLayers: boolean
}

function takesForeign({ includeForeignLayers }: Choosing, { references }: ManifestRecord): boolean {
  return includeForeignLayers && references.some(({ role, optional }) => role === 'layer' && optional)
}

/**
 * Chooses what is taken of what a recorded manifest names. Which image an attestation belongs to, and where a foreign layer lies,
 * is not among what catalog keeps: that is read from the store.
 */
export async function chooseBelow(choosing: Choosing, record: ManifestRecord, signal: AbortSignal): Promise<Taken> {
  const isWhole = record.isIndex ? choosing.platforms.length === 0 : !takesForeign(choosing, record)
  if (isWhole) return { record, kept: record.references, omitted: [] }
  const { references } = parseManifest(await readStored(choosing.blobs, record, signal), record.mediaType, 'stored')
  return chooseOfFetched(choosing, { ...record, references })
}

/** As `chooseBelow`, of a manifest as it was read from its bytes. */
export function chooseOfFetched(
  { platforms, indexes }: Pick<Choosing, 'platforms' | 'indexes'>,
  record: ManifestRecord,
): Taken {
  if (!record.isIndex || platforms.length === 0) return { record, kept: record.references, omitted: [] }
  const { kept, omitted, offers } = chooseChildren(record.references, platforms)
  const children = kept.filter(({ role }) => role === 'manifest').map(({ digest }) => digest)
  indexes.set(record.digest, { children, offers })
  return { record, kept, omitted: omitted.map(({ digest: child }) => ({ manifest: record.digest, child })) }
}

async function readStored(
  blobs: BlobStore,
  { digest, generation }: ManifestRecord,
  signal: AbortSignal,
): Promise<Buffer> {
  const stored = await blobs.open({ digest, generation })
  if (!stored)
    throw new Problem(503, 'content_missing', `The bytes of ${digest} are not in the store.`, {
      hint: 'Repair the store, then sync again.',
    })
  try {
    return await buffer(stored.stream({ signal }))
  } finally {
    await stored.close()
  }
}

/** Why an index cannot be taken, if nothing of it is wanted: neither an image, nor an index below it that has one. */
export function nothingWanted(
  root: Digest,
  { platforms, indexes }: { platforms: readonly string[]; indexes: ChosenIndexes },
): Problem | undefined {
  if (!isBarren(root, indexes, new Set())) return undefined
  const offers = indexes.get(root)?.offers ?? []
  const has = offers.length > 0 ? `it has ${offers.slice(0, 20).join(', ')}` : 'nor have the indexes in it'
  return new Problem(409, 'platform_missing', `the index ${root} has nothing for ${platforms.join(', ')}; ${has}`)
}

function isBarren(digest: Digest, indexes: ChosenIndexes, above: Set<Digest>): boolean {
  const index = indexes.get(digest)
  if (!index || above.has(digest)) return false
  above.add(digest)
  return index.children.every((child) => isBarren(child, indexes, above))
}
