import { buffer } from 'node:stream/consumers'
import type { BlobStore } from '@berth/blobs'
import type { ManifestRecord, OmittedChild } from '@berth/commands'
import { type Digest, parseManifest, type Reference } from '@berth/oci'
import { Problem } from '@berth/service'
import type { Options } from './deps.ts'
import { chooseChildren } from './platform-filter.ts'

/**
 * What was chosen of indexes: to tell at the end which have nothing that is wanted. Only of indexes that were filtered. One that names
 * no manifest at all, as a cache of BuildKit does not, comes `isWhole`.
 */
export type ChosenIndexes = Map<Digest, { children: Digest[]; offers: string[]; isWhole: boolean }>

/** Of what a manifest names: what is wanted too, and what is left out. */
export type Choice = { record: ManifestRecord; wanted: Reference[]; omitted: OmittedChild[] }

type Choosing = { blobs: BlobStore; options: Pick<Options, 'platforms' | 'includeForeignLayers'> }

/**
 * Chooses what is wanted of what a stored manifest names. To which image an attestation belongs, and where a foreign layer lies,
 * is not among what catalog keeps: that is read from the store.
 */
export async function chooseOfStored(
  { blobs, options }: Choosing,
  indexes: ChosenIndexes,
  record: ManifestRecord,
  signal: AbortSignal,
): Promise<Choice> {
  const isWhole = record.isIndex ? options.platforms.length === 0 : !wantsForeign(options, record)
  if (isWhole) return { record, wanted: record.references, omitted: [] }
  const { references } = parseManifest(await readStored(blobs, record, signal))
  return chooseOfFetched(options, indexes, { ...record, references: asSettled(references, record) })
}

/** What the bytes of an index leave open, in the roles that were found for it. */
function asSettled(references: readonly Reference[], settled: ManifestRecord): Reference[] {
  const rolesOf = (digest: Digest) => settled.references.filter((one) => one.digest === digest).map(({ role }) => role)
  return references.flatMap((one) =>
    one.isUnsure ? [...new Set(rolesOf(one.digest))].map((role) => ({ ...one, role })) : [one],
  )
}

function wantsForeign({ includeForeignLayers }: Choosing['options'], { references }: ManifestRecord): boolean {
  return includeForeignLayers && references.some(({ role, optional }) => role === 'layer' && optional)
}

/** As `chooseOfStored`, of a manifest as it was read from its bytes. */
export function chooseOfFetched(
  { platforms }: Pick<Options, 'platforms'>,
  indexes: ChosenIndexes,
  record: ManifestRecord,
): Choice {
  if (!record.isIndex || platforms.length === 0) return { record, wanted: record.references, omitted: [] }
  const { kept, omitted, offers } = chooseChildren(record.references, platforms)
  const children = kept.filter(({ role }) => role === 'manifest').map(({ digest }) => digest)
  indexes.set(record.digest, { children, offers, isWhole: children.length + omitted.length === 0 })
  return { record, wanted: kept, omitted: omitted.map(({ digest: child }) => ({ manifest: record.digest, child })) }
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
