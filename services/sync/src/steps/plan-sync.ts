import { fitLists } from '@berth/bus'
import { parseDigest } from '@berth/oci'
import type { RegistryClient } from '@berth/registry-client'
import type { FetchDeps, Upstream } from '../fetch/deps.ts'
import type { SyncFailure } from '../fetch/failures.ts'
import { createGraph, type Graph } from '../fetch/graph.ts'
import { inBatches } from '../fetch/in-parallel.ts'
import { isMirror, type ResolvedTag } from './chosen.ts'
import type { Change } from './commit-run.ts'
import { findContent, type RunDeps, unknownOf } from './find-content.ts'
import { companionTagsOf } from './follow-companions.ts'
import { gatherChange } from './gather-change.ts'
import { type RepositoryNow, readClosure } from './read-repository.ts'
import type { SyncPlan, Unknown } from './results.ts'

const blobsAtOnce = 5_000

/** Finds out what a sync would do. Manifests that are needed for it are read, and nothing is kept. */
export async function planSync(deps: RunDeps, signal: AbortSignal): Promise<SyncPlan> {
  const { upstream, made } = countRequests(deps.upstream)
  // What upstream shows to a plan is not noted.
  const proofs = { ...upstream.proofs, given: async () => undefined }
  const planning = { ...deps, upstream: { ...upstream, proofs } }
  const found = await findContent(planning, createGraph(), signal)
  const gathered = gatherChange(deps, found)
  const mirrors = isMirror(deps.run, found.chosen)
  const left = mirrors ? await leftAsItIs(deps, gathered.change.kept, found.now, signal) : new Set<string>()
  const sums = { ...gathered, left, now: found.now.tags, isMirror: mirrors, requests: made() }
  return { ...(await sumUp(planning, found.graph, sums, signal)), ...unknownOf(found) }
}

/** The tags that a mirror leaves as they are: those that are kept, and of companions of all that hangs on them, as catalog does. */
async function leftAsItIs(
  { catalog, run }: RunDeps,
  kept: readonly string[],
  now: RepositoryNow,
  signal: AbortSignal,
): Promise<Set<string>> {
  const roots = kept.flatMap((name) => now.tags.get(name) ?? parseDigest(name) ?? [])
  const closure = await readClosure(catalog, run.repositoryId, new Set(roots), { companions: true }, signal)
  return new Set([...kept, ...companionTagsOf(now, new Set(closure))])
}

/** Counts the requests that go through a remote's client; after blobs plans do not ask. */
function countRequests(upstream: Upstream): { upstream: Upstream; made: () => number } {
  let requests = 0
  const { client } = upstream
  const count = <T>(ask: () => T): T => {
    requests++
    return ask()
  }
  const counting: RegistryClient = {
    ...client,
    resolve: (...asked) => count(() => client.resolve(...asked)),
    resolveByGet: (...asked) => count(() => client.resolveByGet(...asked)),
    manifest: (...asked) => count(() => client.manifest(...asked)),
    referrers: (...asked) => count(() => client.referrers(...asked)),
    signatures: (...asked) => count(() => client.signatures(...asked)),
    tags: async function* (...asked) {
      for await (const page of client.tags(...asked)) yield count(() => page)
      // That nothing comes after the last name.
      requests++
    },
  }
  return { upstream: { ...upstream, client: counting }, made: () => requests }
}

/** Sums up what a run would do, from what it found and would hand to catalog. */
async function sumUp(
  deps: Pick<FetchDeps, 'catalog' | 'upstream' | 'report'>,
  graph: Graph,
  found: {
    change: Change
    left: ReadonlySet<string>
    failures: SyncFailure[]
    now: ReadonlyMap<string, unknown>
    isMirror: boolean
    requests: number
  },
  signal: AbortSignal,
): Promise<Omit<SyncPlan, keyof Unknown>> {
  const { change, left, failures, now, isMirror } = found
  const { asked, ...blobs } = await sumUpBlobs(deps, graph, signal)
  const tags = compareTags(change.tags, left, now, isMirror)
  return {
    dryRun: true,
    tags: fitLists(tags),
    tagCounts: {
      added: tags.added.length,
      moved: tags.moved.length,
      removed: tags.removed.length,
      kept: tags.kept.length,
    },
    // As catalog's guard of mirrors counts.
    needsForce: tags.removed.length * 2 > now.size,
    manifests: deps.report.progress.fetchedManifests,
    ...blobs,
    requests: found.requests + blobs.blobs + asked,
    failures: failures.slice(0, 1_000),
    failureCount: failures.length,
  }
}

function compareTags(
  staged: readonly ResolvedTag[],
  left: ReadonlySet<string>,
  now: ReadonlyMap<string, unknown>,
  isMirror: boolean,
): SyncPlan['tags'] {
  const digests = new Map(staged.map((tag) => [tag.name, tag.digest]))
  const added = staged.filter((tag) => !now.has(tag.name)).map((tag) => tag.name)
  const moved = staged.filter((tag) => now.has(tag.name) && now.get(tag.name) !== tag.digest).map((tag) => tag.name)
  const stays = (name: string) => (isMirror ? digests.has(name) || left.has(name) : true)
  const changes = new Set(moved)
  const names = [...now.keys()]
  const tags = {
    added,
    moved,
    removed: names.filter((name) => !stays(name)),
    kept: names.filter((name) => stays(name) && !changes.has(name)),
  }
  for (const list of Object.values(tags)) list.sort()
  return tags
}

/** `asked`: blobs that upstream would only have to say it has. */
async function sumUpBlobs(
  { catalog, upstream }: Pick<FetchDeps, 'catalog' | 'upstream'>,
  graph: Graph,
  signal: AbortSignal,
): Promise<Pick<SyncPlan, 'blobs' | 'bytesToFetch' | 'bytesSaved'> & { asked: number }> {
  const sums = { blobs: 0, bytesToFetch: 0, bytesSaved: 0, asked: 0 }
  for (const batch of inBatches([...graph.blobs.values()], blobsAtOnce)) {
    const { digests } = await catalog.call(
      'list-known-blobs',
      { digests: batch.map(({ digest }) => digest) },
      { signal },
    )
    const known = new Set(digests)
    const proofOf = await upstream.proofs.ofStored(digests, signal)
    for (const { digest, sizeBytes = 0 } of batch) {
      if (proofOf.get(digest) === 'word') sums.asked++
      if (known.has(digest) && proofOf.get(digest) !== 'bytes') sums.bytesSaved += sizeBytes
      else {
        sums.blobs++
        sums.bytesToFetch += sizeBytes
      }
    }
  }
  return sums
}
