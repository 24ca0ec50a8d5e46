import type { ManifestSignature } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Chosen } from '../copy/chosen.ts'
import { type Companions, copyCompanions } from '../copy/companions.ts'
import type { Copying, Graph } from '../copy/copy-manifests.ts'
import { inBatches } from '../copy/in-parallel.ts'
import { membersOf } from '../copy/look-into.ts'
import { companionSubject } from '../filters/tag-filter.ts'
import type { PlacedRun } from './placed-run.ts'
import type { RepositoryNow } from './read-repository.ts'

/**
 * The companions of what is synced. `signatures` are those that are new. For a mirror: `staying` manifests stay without a tag,
 * `kept` tags stay as they are.
 */
export type FollowedCompanions = Companions & { staying: Digest[]; kept: string[] }

type Synced = { run: PlacedRun; chosen: Chosen; now: RepositoryNow }
const rootsAtOnce = 1_000
const namesAtOnce = 5_000

/**
 * Brings signatures, SBOMs and whatever else refers to what is synced. Upstream is asked about every manifest that is new and about
 * every tag and digest that is wanted, so that a new signature of a tag that did not move is found; of other manifests that are
 * here already, only about companion tags that its list shows.
 */
export async function followCompanions(copying: Copying, graph: Graph, synced: Synced): Promise<FollowedCompanions> {
  const { run, chosen, now } = synced
  const unfailed = chosen.tags.filter((tag) => !copying.failures.byTag.has(tag.name))
  const asked = new Set([...graph.manifests, ...unfailed.map((tag) => tag.digest), ...chosen.digests])
  const isMirror = run.mode === 'mirror'
  const below = isMirror ? await manifestsBelow(copying, run, asked) : await listedHere(copying, synced)
  const { repositoryId } = run
  const found = await copyCompanions(copying, graph, {
    asked,
    listedOnly: below,
    listed: chosen.companions,
    tags: now.tags,
    repositoryId,
  })
  const named = new Set(chosen.tags.map((tag) => tag.name))
  const companions = {
    ...found,
    tags: found.tags.filter((tag) => !named.has(tag.name)),
    moved: found.moved.filter((tag) => !named.has(tag.name)),
    signatures: await newSignatures(copying, repositoryId, found.signatures),
  }
  if (!isMirror) return { ...companions, staying: [], kept: [] }
  // Nobody asked upstream what refers to these, so what the repository has of it is no less than upstream.
  const unasked = await closure(copying, repositoryId, new Set([...below, ...found.here]), { companions: true })
  const staying = [...found.referrers, ...unasked.filter((digest) => !below.has(digest))]
  return { ...companions, staying, kept: chosen.companions ? [] : keptTags(now, new Set(unasked)) }
}

/** What the repository has below these manifests, and is to keep: where there are platforms, less what they leave out. */
async function manifestsBelow(copying: Copying, run: PlacedRun, roots: ReadonlySet<Digest>): Promise<Set<Digest>> {
  const all =
    copying.platforms.length > 0
      ? [...copying.indexes.values()].flatMap(({ children }) => children)
      : await closure(copying, run.repositoryId, roots, { companions: false })
  return new Set(all.filter((digest) => !roots.has(digest)))
}

/** What of the repository has companion tags upstream. */
async function listedHere(copying: Copying, { run, chosen }: Synced): Promise<ReadonlySet<Digest>> {
  return membersOf(copying, run.repositoryId, [...(chosen.companions?.keys() ?? [])])
}

async function closure(
  { catalog, signal }: Copying,
  repositoryId: string,
  roots: ReadonlySet<Digest>,
  { companions }: { companions: boolean },
): Promise<Digest[]> {
  const found = new Set<Digest>()
  for (const digests of inBatches([...roots], rootsAtOnce)) {
    const reply = await catalog.call('closure', { repositoryId, digests, companions }, { signal })
    for (const digest of reply.digests) found.add(digest)
  }
  return [...found]
}

async function newSignatures(
  { catalog, signal }: Copying,
  repositoryId: string,
  signatures: readonly ManifestSignature[],
): Promise<ManifestSignature[]> {
  const known = new Set<string>()
  for (const some of inBatches(signatures, namesAtOnce)) {
    const names = some.map((signature) => signature.name)
    for (const name of (await catalog.call('known-signatures', { repositoryId, names }, { signal })).names)
      known.add(name)
  }
  return signatures.filter((signature) => !known.has(signature.name))
}

/** Without a list nobody can tell which companion tags upstream has of what it was not asked about. */
function keptTags({ tags }: RepositoryNow, subjects: ReadonlySet<Digest>): string[] {
  return [...tags.keys()].filter((name) => {
    const subject = companionSubject(name)
    return subject !== undefined && subjects.has(subject)
  })
}
