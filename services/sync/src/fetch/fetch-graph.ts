import type { ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import { type Choice, chooseOfFetched, chooseOfStored } from './choose-children.ts'
import type { FetchDeps, Upstream } from './deps.ts'
import { fetchManifest, inspectManifest } from './fetch-manifest.ts'
import { addBelow, type Graph } from './graph.ts'
import { inBatches, inParallel } from './in-parallel.ts'
import { leaseBlobs } from './lease-blobs.ts'
import { proveManifests } from './prove-manifests.ts'
import { readKnownManifests } from './read-known-manifests.ts'
import { settleKnown, settleRoles } from './settle-roles.ts'
import { stageContent } from './stage-content.ts'

type Accepts = (record: ManifestRecord) => boolean
const acceptAll: Accepts = () => true

const batchSize = 200
const batchesAtOnce = 2
// A command takes 64 MiB, and what is kept of a manifest may be written longer than it was.
const mostStagedBytes = 16 << 20
// Sixteen indexes that lie in each other, as catalog takes them, and what the last one names.
const mostLevels = 17

/**
 * Fetches manifests and all that is wanted of what is below them, each once: known ones are only looked into, the others are
 * fetched, stored and staged, a batch at a time. Puts what was found, and the blobs named, into the graph. Answers the manifests
 * that were not in it. A root that `accepts` refuses once it is read is not staged, and nothing below it is fetched.
 */
export async function fetchGraph(
  deps: FetchDeps,
  graph: Graph,
  roots: readonly Digest[],
  signal: AbortSignal,
  accepts: Accepts = acceptAll,
): Promise<Digest[]> {
  const { progress, failures } = deps.report
  let level = [...new Set(roots)].filter((root) => !graph.manifests.has(root))
  for (const root of level) graph.manifests.add(root)
  const added = [...level]
  progress.manifests.total = graph.manifests.size
  for (let levels = 1; level.length > 0; levels++) {
    if (levels > mostLevels) {
      for (const digest of level) failures.note(tooDeep(deps.upstream, digest), { digest })
      break
    }
    const below: Digest[] = []
    // While one batch is told to catalog, the next one is fetched: the client itself keeps to its number of requests. Of each
    // only what the graph needs is kept: a manifest may be 4 MiB, and there may be very many.
    await inParallel(inBatches(level, batchSize), batchesAtOnce, signal, async (digests, both) => {
      for (const choice of await fetchBatch(deps, graph, digests, both, levels === 1 ? accepts : acceptAll))
        below.push(...addBelow(graph, choice, deps.options))
    })
    progress.manifests.total = graph.manifests.size
    added.push(...below)
    level = below
  }
  return added
}

function tooDeep({ host, repository }: Upstream, digest: Digest): UpstreamError {
  const message = `${host} has indexes in ${repository} that lie in each other more than ${mostLevels - 1} deep, above ${digest}`
  return new UpstreamError('protocol', message, { host })
}

async function fetchBatch(
  deps: FetchDeps,
  graph: Graph,
  digests: Digest[],
  signal: AbortSignal,
  accepts: Accepts,
): Promise<Choice[]> {
  const { catalog, upstream, store, stage, options, report } = deps
  // Leased first: what is known after that stays so with all it names, and can be built on.
  const leases = options.isPlan ? [] : await leaseBlobs(store, digests, signal)
  const known = await readKnownManifests(catalog, digests, signal)
  const proven = await proveManifests({ upstream, report }, known.filter(accepts), signal)
  report.progress.manifests.done += known.length
  const isKnown = new Set(known.map(({ digest }) => digest))
  const missing = digests.filter((digest) => !isKnown.has(digest))
  const generations = new Map(leases.map((lease) => [lease.digest, lease.generation]))
  const fetched = await fetchMissing(deps, missing, generations, signal, accepts)
  const choices: Choice[] = []
  const settled = await settleAll(deps, proven, signal)
  for (const { record } of settled)
    choices.push(await chooseOfStored({ blobs: store.blobs, options }, graph.indexes, record, signal))
  for (const record of fetched) choices.push(chooseOfFetched(options, graph.indexes, record))
  if (options.isPlan) return choices
  const omitted = choices.flatMap((one) => one.omitted)
  const told = [...fetched, ...settled.flatMap(({ added }) => added)]
  const [last = [], ...others] = bySize(told, mostStagedBytes).toReversed()
  for (const manifests of others) await stageContent(stage, { manifests }, signal)
  await Promise.all([
    upstream.proofs.given(fetched.map(({ digest }) => digest)),
    stageContent(stage, { manifests: last, omitted }, signal),
  ])
  return choices
}

async function settleAll({ upstream, report: { failures } }: FetchDeps, known: ManifestRecord[], signal: AbortSignal) {
  const settled: Awaited<ReturnType<typeof settleKnown>>[] = []
  for (const record of known)
    try {
      settled.push(await settleKnown(upstream, record, signal))
    } catch (error) {
      signal.throwIfAborted()
      failures.note(error, { digest: record.digest })
    }
  return settled
}

async function fetchMissing(
  { upstream, store, options, report: { progress, failures } }: FetchDeps,
  missing: readonly Digest[],
  generations: ReadonlyMap<Digest, number>,
  signal: AbortSignal,
  accepts: Accepts,
): Promise<ManifestRecord[]> {
  const fetched: ManifestRecord[] = []
  await inParallel(missing, upstream.concurrency, signal, async (digest, both) => {
    try {
      const generation = generations.get(digest) ?? 1
      const read = await (options.isPlan
        ? inspectManifest(upstream, digest, both)
        : fetchManifest({ upstream, store }, digest, generation, both))
      const record = await settleRoles(upstream, read, both)
      if (accepts(record)) fetched.push(record)
      failures.clear()
    } catch (error) {
      both.throwIfAborted()
      failures.note(error, { digest })
    }
    progress.manifests.done++
  })
  progress.fetchedManifests += fetched.length
  return fetched
}

/** Cuts manifests into lists that are told to catalog at a time: mostly all fit into one, but each may be 4 MiB. */
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
