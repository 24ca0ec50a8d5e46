import { fitLists } from '@berth/bus'
import type { RegistryClient } from '@berth/registry-client'
import type { ResolvedTag } from '../copy/chosen.ts'
import type { Copying, Graph } from '../copy/copy-manifests.ts'
import type { SyncFailure } from '../copy/failures.ts'
import { inBatches } from '../copy/in-parallel.ts'
import type { OpenRemote } from '../remotes/open-remote.ts'
import type { Change } from './commit-run.ts'

/**
 * What a sync would do. `manifests`, `blobs` and `requests` are what it would ask upstream for; `needsForce`: more than half of the tags
 * would go, and only a forced mirror does that.
 */
export type SyncPlan = {
  dryRun: true
  tags: { added: string[]; moved: string[]; removed: string[]; kept: string[] }
  tagCounts: { added: number; moved: number; removed: number; kept: number }
  needsForce: boolean
  manifests: number
  blobs: number
  bytesToFetch: number
  bytesSaved: number
  requests: number
  failures: SyncFailure[]
  failureCount: number
}

const blobsAtOnce = 5_000

/** Counts the requests that go through a remote's client; after blobs plans do not ask. */
export function countRequests(open: OpenRemote): { open: OpenRemote; made: () => number } {
  let requests = 0
  const { client } = open
  const count = <T>(ask: () => T): T => {
    requests++
    return ask()
  }
  const counting: RegistryClient = {
    ...client,
    resolve: (...asked) => count(() => client.resolve(...asked)),
    manifest: (...asked) => count(() => client.manifest(...asked)),
    referrers: (...asked) => count(() => client.referrers(...asked)),
    signatures: (...asked) => count(() => client.signatures(...asked)),
    tags: async function* (...asked) {
      for await (const page of client.tags(...asked)) yield count(() => page)
    },
  }
  return { open: { ...open, client: counting }, made: () => requests }
}

/** Sums up what a run would do, from what it found and would hand to catalog. */
export async function sumUp(
  copying: Pick<Copying, 'catalog' | 'fetched' | 'proofs' | 'signal'>,
  graph: Graph,
  found: {
    change: Change
    failures: SyncFailure[]
    now: ReadonlyMap<string, unknown>
    isMirror: boolean
    requests: number
  },
): Promise<SyncPlan> {
  const { change, failures, now, isMirror } = found
  const { asked, ...blobs } = await blobsOf(copying, graph)
  const tags = tagsOf(change.tags, new Set(change.kept), now, isMirror)
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
    manifests: copying.fetched.count,
    ...blobs,
    requests: found.requests + blobs.blobs + asked,
    failures: failures.slice(0, 1_000),
    failureCount: failures.length,
  }
}

function tagsOf(
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
async function blobsOf(
  { catalog, proofs, signal }: Pick<Copying, 'catalog' | 'proofs' | 'signal'>,
  graph: Graph,
): Promise<Pick<SyncPlan, 'blobs' | 'bytesToFetch' | 'bytesSaved'> & { asked: number }> {
  const sums = { blobs: 0, bytesToFetch: 0, bytesSaved: 0, asked: 0 }
  for (const batch of inBatches([...graph.blobs.values()], blobsAtOnce)) {
    const { digests } = await catalog.call('known-blobs', { digests: batch.map(({ digest }) => digest) }, { signal })
    const known = new Set(digests)
    const proofOf = await proofs.ofStored(digests, signal)
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
