import type { ManifestRecord, StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import type { Archive } from '../archives/archive.ts'
import { BadArchive } from '../archives/bad-archive.ts'
import { type BlobPlaces, createBlobPlaces } from '../archives/blob-places.ts'
import type { BroughtRepository } from '../archives/brought.ts'
import type { ManifestLine } from '../archives/list-lines.ts'
import { readManifest } from '../archives/read-manifest.ts'
import { knownManifests } from '../lookups/known.ts'
import { stageContent } from '../stages/stage-content.ts'
import { type StoreDeps, storeBlobs, type Tally, verifiedOf } from './store-blobs.ts'

type Staging = { stage: string; fence: number }
type Options = { tally: Tally; signal: AbortSignal }

/** The manifests of a list: an index may name others, which are left out as they were where it comes from. */
export async function manifestsOf(brought: BroughtRepository, signal: AbortSignal): Promise<BlobPlaces> {
  const manifests = createBlobPlaces()
  for await (const line of brought.lines(signal)) {
    if (!('manifest' in line)) break
    manifests.add(line.manifest, { offset: 0, sizeBytes: line.size })
  }
  manifests.settle()
  return manifests
}

/** Puts manifests aside with what they name: those that are carried go into the store, what the base of a delta has is here. */
export async function stageManifests(
  deps: StoreDeps,
  staging: Staging,
  { lines, members }: { lines: readonly ManifestLine[]; members: BlobPlaces },
  options: Options,
): Promise<void> {
  const carried = lines.filter(({ held }) => !held)
  const digests = lines.map(({ manifest }) => manifest)
  const verified = await verifiedOf(deps.db, deps.importId, digests)
  const known = await knownOf(
    deps.db,
    // A type that a line says is judged by the bytes each time.
    lines
      .filter(({ manifest, held, mediaType }) => held || (verified.has(manifest) && mediaType === undefined))
      .map(({ manifest }) => manifest),
  )
  const fresh = await recordsOf(
    deps,
    carried.filter(({ manifest }) => !known.has(manifest)),
    options,
  )
  // Their leases end with nothing: what an attempt before this one had leased may be about to run out.
  await storeBlobs(
    deps,
    carried.filter(({ manifest }) => known.has(manifest)).map(({ manifest: digest, size }) => ({ digest, size })),
    options,
  )
  const missing = lines.find(({ manifest, held }) => held && !known.has(manifest))
  if (missing)
    throw new BadArchive(
      missing.manifest,
      'is to be here already, and is not: import the version before, or a full export',
    )
  await stageContent(deps.db, {
    ...staging,
    manifests: [...fresh.values()],
    tags: [],
    members: digests,
    ...namedBy([...known.values(), ...fresh.values()], { members, archive: deps.archive }),
  })
  await stageTypes(deps.db, staging.stage, lines)
}

/** Records of manifests that are known here, page by page. */
async function knownOf(db: Database, digests: readonly Digest[]): Promise<Map<Digest, ManifestRecord>> {
  const known = new Map<Digest, ManifestRecord>()
  for (let rest = digests; rest.length > 0; ) {
    const page = await knownManifests(db, rest)
    for (const record of page.manifests) known.set(record.digest, record)
    rest = page.rest
  }
  return known
}

/** Reads manifests of the archive, and stores them. */
async function recordsOf(
  deps: StoreDeps,
  lines: readonly ManifestLine[],
  options: Options,
): Promise<Map<Digest, ManifestRecord>> {
  const parsed = []
  for (const line of lines) parsed.push({ line, ...(await readManifest(deps.archive, line)) })
  const envelopes = parsed.flatMap(({ envelope }) => envelope ?? [])
  const wanted = [
    ...lines.map(({ manifest: digest, size }) => ({ digest, size })),
    ...envelopes.map(({ digest, length: size }) => ({ digest, size })),
  ]
  const inMemory = new Map(parsed.map(({ line, envelope, bytes }) => [envelope?.digest ?? line.manifest, bytes]))
  const archive: Archive = {
    ...deps.archive,
    streamBlob: (digest, signal) => {
      const bytes = inMemory.get(digest)
      return bytes ? once(bytes) : deps.archive.streamBlob(digest, signal)
    },
  }
  const stored = await storeBlobs({ ...deps, archive }, wanted, options)
  const records = new Map<Digest, ManifestRecord>()
  for (const { line, record, envelope } of parsed) {
    const blob = storedOf(stored, line.manifest)
    records.set(line.manifest, {
      ...record,
      ...blob,
      ...(envelope ? { envelope: storedOf(stored, envelope.digest) } : {}),
    })
  }
  return records
}

function storedOf(stored: ReadonlyMap<Digest, StoredBlob>, digest: Digest): StoredBlob {
  const blob = stored.get(digest)
  if (!blob) throw new Error(`${digest} was to be stored`)
  return blob
}

async function* once(bytes: Buffer): AsyncIterable<Buffer> {
  yield bytes
}

/** What manifests name that has to be said: of an index what is left out, and layers that may lie elsewhere and are here. */
function namedBy(
  records: readonly ManifestRecord[],
  { members, archive }: { members: BlobPlaces } & Pick<StoreDeps, 'archive'>,
): { omitted: { manifest: Digest; child: Digest }[]; blobs: Digest[] } {
  const omitted: { manifest: Digest; child: Digest }[] = []
  const blobs = new Set<Digest>()
  for (const { digest: manifest, references } of records)
    for (const { role, digest: child, optional } of references) {
      if (role === 'manifest' && !optional && !members.find(child)) omitted.push({ manifest, child })
      if (role === 'layer' && optional && archive.blobs.find(child)) blobs.add(child)
    }
  return { omitted, blobs: [...blobs] }
}

async function stageTypes(db: Database, stage: string, lines: readonly ManifestLine[]): Promise<void> {
  const typed = lines.filter(({ mediaType }) => mediaType !== undefined)
  if (typed.length === 0) return
  await db.query(
    `update stage_manifest
     set pushed_type = typed.type
     from unnest($2::text[], $3::text[]) as typed (digest, type)
     where stage = $1
       and stage_manifest.digest = typed.digest`,
    [stage, typed.map(({ manifest }) => manifest), typed.map(({ mediaType }) => mediaType)],
  )
}
