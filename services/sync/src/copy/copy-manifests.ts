import { createHash } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient, ManifestRecord, StoredBlob } from '@berth/commands'
import { asDigest, type Digest, isSchema1Type, OciError, parseManifest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { OpenRemote } from '../remotes/open-remote.ts'
import type { BlobLine, NeededBlob } from './blob-line.ts'
import { type ChosenIndexes, chooseBelow, chooseOfFetched, type Taken } from './choose.ts'
import type { Failures } from './failures.ts'
import { inBatches, inParallel } from './in-parallel.ts'
import { knownManifests } from './known-manifests.ts'
import type { Progress } from './progress.ts'
import type { Proofs } from './proofs.ts'

/** What a run works with. `stage` and `fence` name it to catalog; `holder` holds its leases. */
export type Copying = {
  remote: OpenRemote
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  stage: string
  fence: number
  holder: string
  concurrency: number
  /** Of indexes only these are taken; all, when there are none. */
  platforms: readonly string[]
  indexes: ChosenIndexes
  proofs: Proofs
  /** Whether layers that manifests only point to are fetched from there. */
  includeForeignLayers: boolean
  failures: Failures
  /** Nothing is leased, stored or staged: it is only found out what would be. */
  isPlan: boolean
  /** Manifests that came from upstream. */
  fetched: { count: number }
  progress: Progress
  signal: AbortSignal
}

/** What it takes to fetch one. */
export type Fetching = Pick<Copying, 'remote' | 'catalog' | 'blobs' | 'holder'>

/** What lies below the manifests that were copied. */
export type Graph = {
  manifests: Set<Digest>
  blobs: Map<Digest, NeededBlob>
  /** What names a manifest or a blob. */
  namedBy: Map<Digest, Digest[]>
  /** Where to tell of blobs that upstream has, if anybody brings them already. */
  line?: BlobLine | undefined
}

type Accepts = (record: ManifestRecord) => boolean
const acceptAll: Accepts = () => true

export const leaseSeconds = 3_600
const batch = 200
const batchesAtOnce = 2
// A command takes 64 MiB, and what is kept of a manifest may be written longer than it was.
const mostStagedBytes = 16 << 20
// Sixteen indexes that lie in each other, as catalog takes them, and what the last one names.
const mostLevels = 17

/** A graph to which nothing was copied yet. */
export function emptyGraph(line?: BlobLine): Graph {
  return { manifests: new Set(), blobs: new Map(), namedBy: new Map(), line }
}

/**
 * Copies manifests and all that is taken of what is below them, each once: known ones are only looked into, the others are
 * fetched, stored and recorded, a batch at a time. Puts what was found, and the blobs named, into the graph. Answers the
 * manifests that were not in it. A root that `accepts` refuses once it is read is not recorded, and nothing below it is copied.
 */
export async function copyManifests(
  copying: Copying,
  graph: Graph,
  roots: readonly Digest[],
  accepts: Accepts = acceptAll,
): Promise<Digest[]> {
  let level = [...new Set(roots)].filter((root) => !graph.manifests.has(root))
  for (const root of level) graph.manifests.add(root)
  const added = [...level]
  copying.progress.manifests.total = graph.manifests.size
  for (let levels = 1; level.length > 0; levels++) {
    if (levels > mostLevels) {
      for (const digest of level) copying.failures.note(tooDeep(copying, digest), { digest })
      break
    }
    const below: Digest[] = []
    // While one batch is told to catalog, the next one is fetched: the client itself keeps to its number of requests. Of each
    // only what the graph takes is kept: a manifest may be 4 MiB, and there may be very many.
    await inParallel(inBatches(level, batch), batchesAtOnce, copying.signal, async (digests, signal) => {
      for (const taken of await copyBatch({ ...copying, signal }, digests, levels === 1 ? accepts : acceptAll))
        below.push(...addBelow(graph, taken, copying))
    })
    copying.progress.manifests.total = graph.manifests.size
    added.push(...below)
    level = below
  }
  return added
}

function tooDeep({ remote: { host, repository } }: Copying, digest: Digest): UpstreamError {
  const message = `${host} has indexes in ${repository} that lie in each other more than ${mostLevels - 1} deep, above ${digest}`
  return new UpstreamError('protocol', message, { host })
}

/** Adds what a manifest names to the graph. Answers the manifests that were not there. */
function addBelow(
  graph: Graph,
  { record, kept }: Taken,
  { includeForeignLayers }: Pick<Copying, 'includeForeignLayers'>,
): Digest[] {
  const { manifests, blobs, line } = graph
  const below: Digest[] = []
  for (const { role, digest, sizeBytes, optional, urls } of kept) {
    if (optional && !(includeForeignLayers && urls)) continue
    addName(graph, digest, record.digest)
    const known = blobs.get(digest)
    const said = isSchema1Type(record.mediaType) ? known?.sizeBytes : sizeBytes
    const isLayer = role === 'layer' && known?.isLayer !== false
    if (role !== 'manifest') {
      const blob = { digest, sizeBytes: said, isLayer, ...(urls ? { urls } : {}) }
      blobs.set(digest, blob)
      if (!known && said !== undefined && !urls) line?.add(blob)
    } else if (!manifests.has(digest)) {
      manifests.add(digest)
      below.push(digest)
    }
  }
  return below
}

/** Notes that a manifest names another one, or a blob. */
export function addName({ namedBy }: Graph, digest: Digest, by: Digest): void {
  const names = namedBy.get(digest)
  if (names) names.push(by)
  else namedBy.set(digest, [by])
}

async function copyBatch(copying: Copying, digests: Digest[], accepts: Accepts): Promise<Taken[]> {
  const { catalog, progress, stage, fence, signal, failures, isPlan } = copying
  // Leased first: what is known after that stays so with all it names, and can be built on.
  const generations = isPlan ? new Map<Digest, number>() : await leaseAll(copying, digests)
  const known = await knownManifests(catalog, digests, signal)
  const have = await proveManifests(copying, known.filter(accepts))
  progress.manifests.done += known.length
  const isKnown = new Set(known.map(({ digest }) => digest))
  const missing = digests.filter((digest) => !isKnown.has(digest))
  const fetched: ManifestRecord[] = []
  await inParallel(missing, copying.concurrency, signal, async (digest, both) => {
    try {
      const generation = generations.get(digest) ?? 1
      const record = await (isPlan ? inspect(copying, digest, both) : fetchManifest(copying, digest, generation, both))
      if (accepts(record)) fetched.push(record)
      failures.clear()
    } catch (error) {
      both.throwIfAborted()
      failures.note(error, { digest })
    }
    progress.manifests.done++
  })
  copying.fetched.count += fetched.length
  const taken: Taken[] = []
  for (const record of have) taken.push(await chooseBelow(copying, record, signal))
  for (const record of fetched) taken.push(chooseOfFetched(copying, record))
  const omitted = taken.flatMap((one) => one.omitted)
  if (isPlan) return taken
  const [last = [], ...others] = bySize(fetched, mostStagedBytes).toReversed()
  for (const manifests of others) await catalog.call('stage-content', { stage, fence, manifests, tags: [] }, { signal })
  await Promise.all([
    copying.proofs.given(fetched.map(({ digest }) => digest)),
    catalog.call('stage-content', { stage, fence, manifests: last, tags: [], omitted }, { signal }),
  ])
  return taken
}

/** Cuts manifests into lists that are told to catalog at a time: of most all fit into one, but each may be 4 MiB. */
function bySize(manifests: readonly ManifestRecord[], mostBytes: number): ManifestRecord[][] {
  const lists: ManifestRecord[][] = []
  let bytes = 0
  for (const manifest of manifests) {
    bytes += manifest.sizeBytes
    const list = lists.at(-1)
    if (list && bytes <= mostBytes) list.push(manifest)
    else {
      lists.push([manifest])
      bytes = manifest.sizeBytes
    }
  }
  return lists
}

/**
 * Those of these manifests that upstream has too. Elsewhere in Berth they may be private: where that could be, upstream gives them
 * again, which costs as little as a question.
 */
export async function proveManifests(
  copying: Pick<Copying, 'remote' | 'proofs' | 'concurrency' | 'failures' | 'fetched' | 'isPlan' | 'signal'>,
  known: readonly ManifestRecord[],
): Promise<ManifestRecord[]> {
  const { remote, proofs, concurrency, failures, fetched, signal } = copying
  if (known.length === 0) return []
  const wanted = await proofs.ofStored(
    known.map(({ digest }) => digest),
    signal,
  )
  const given: Digest[] = []
  await inParallel(wanted.keys(), concurrency, signal, async (digest, both) => {
    try {
      await remote.client.manifest(remote.repository, digest, both)
      given.push(digest)
      failures.clear()
    } catch (error) {
      both.throwIfAborted()
      failures.note(error, { digest })
    }
  })
  fetched.count += given.length
  if (!copying.isPlan) await proofs.given(given)
  const shown = new Set(given)
  return known.filter(({ digest }) => !wanted.has(digest) || shown.has(digest))
}

async function leaseAll(
  { catalog, holder, signal }: Copying,
  digests: readonly Digest[],
): Promise<ReadonlyMap<Digest, number>> {
  const request = { holder, digests: [...digests], ttlSeconds: leaseSeconds }
  const { blobs } = await catalog.call('lease-blobs', request, { signal })
  return new Map(blobs.map((lease) => [lease.digest, lease.generation]))
}

/** Reads a manifest and keeps nothing of it. */
async function inspect({ remote }: Fetching, digest: Digest, signal: AbortSignal): Promise<ManifestRecord> {
  const { bytes, mediaType } = await remote.client.manifest(remote.repository, digest, signal)
  const { signed, ...parsed } = readManifest(remote, digest, bytes, mediaType)
  return { ...parsed, digest, sizeBytes: (signed?.payload ?? bytes).length, generation: 1 }
}

/** Fetches a manifest and stores its bytes under a generation that is leased. */
export async function fetchManifest(
  copying: Fetching,
  digest: Digest,
  generation: number,
  signal: AbortSignal,
): Promise<ManifestRecord> {
  const { remote, blobs } = copying
  const { bytes, mediaType } = await remote.client.manifest(remote.repository, digest, signal)
  const { signed, ...parsed } = readManifest(remote, digest, bytes, mediaType)
  const payload = signed?.payload ?? bytes
  await blobs.write({ digest, generation }, once(payload), { signal, expectedBytes: payload.length })
  const envelope = signed ? { envelope: await storeEnvelope(copying, bytes, signal) } : {}
  return { ...parsed, digest, sizeBytes: payload.length, generation, ...envelope }
}

/** Stores a signed manifest as it came, beside what its digest is of (docs/decisions/0009). */
async function storeEnvelope(
  { catalog, blobs, holder }: Fetching,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<StoredBlob> {
  const digest = asDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  const { blobs: leases } = await catalog.call(
    'lease-blobs',
    { holder, digests: [digest], ttlSeconds: leaseSeconds },
    { signal },
  )
  const generation = leases[0]?.generation ?? 1
  await blobs.write({ digest, generation }, once(bytes), { signal, expectedBytes: bytes.length })
  return { digest, generation, sizeBytes: bytes.length }
}

function readManifest(remote: OpenRemote, digest: Digest, bytes: Uint8Array, mediaType: string) {
  try {
    return parseManifest(bytes, mediaType, 'upstream')
  } catch (cause) {
    if (!(cause instanceof OciError)) throw cause
    throw new UpstreamError(
      'protocol',
      `${remote.host} has a manifest ${digest} in ${remote.repository} that cannot be taken: ${cause.message}`,
      { host: remote.host, cause },
    )
  }
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
