import type { ManifestSignature } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Chosen } from '../copy/chosen.ts'
import { type Companions, copyCompanions } from '../copy/companions.ts'
import type { Copying, Graph } from '../copy/copy-manifests.ts'
import { inBatches } from '../copy/in-parallel.ts'
import { membersOf } from '../copy/look-into.ts'
import { companionSubject, companionTagOf } from '../filters/tag-filter.ts'
import type { PlacedRun } from './placed-run.ts'
import type { RepositoryNow } from './read-repository.ts'

/**
 * The companions of what is synced. `signatures` are those that are new. For a mirror: `staying` manifests stay without a tag,
 * `kept` tags stay as they are.
 */
export type FollowedCompanions = Companions & { staying: Digest[]; kept: string[] }

/** `isDue`: what belongs to tags that did not move is asked for too. `isStrict`: signatures are required. */
type Synced = { run: PlacedRun; chosen: Chosen; now: RepositoryNow; isDue: boolean; isStrict: boolean }
const rootsAtOnce = 1_000
const namesAtOnce = 5_000

/**
 * Brings signatures, SBOMs and whatever else refers to what is synced. Upstream is asked about every manifest that is new and, when
 * that is due, about every tag and digest that is wanted, so that a new signature of a tag that did not move is found; else only for
 * companion tags of those. Of other manifests that are here already it is asked about companion tags that its list shows.
 */
export async function followCompanions(copying: Copying, graph: Graph, synced: Synced): Promise<FollowedCompanions> {
  const { run, chosen, now } = synced
  const { asked, settled } = partRoots(copying, graph, synced)
  const isMirror = run.mode === 'mirror'
  const below = isMirror ? await manifestsBelow(copying, run, { asked, settled }) : await listedHere(copying, synced)
  const { repositoryId } = run
  const found = await copyCompanions(copying, graph, {
    asked,
    settled,
    listedOnly: below,
    listed: chosen.companions,
    tags: now.tags,
    repositoryId,
    isStrict: synced.isStrict,
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
  const unasked = await closure(copying, repositoryId, new Set([...below, ...found.here]), {
    companions: true,
    // All that is wanted below them is among them.
    childless: below,
  })
  const staying = [...found.referrers, ...unasked.filter((digest) => !below.has(digest))]
  return { ...companions, staying, kept: chosen.companions ? [] : keptTags(now, new Set(unasked), settled) }
}

/** What is wanted, parted into what upstream is asked about in every way and what only in part: `settled` has not moved. */
function partRoots(
  { failures }: Copying,
  { manifests }: Graph,
  { chosen, isDue }: Synced,
): { asked: Set<Digest>; settled: Set<Digest> } {
  const unfailed = chosen.tags.filter((tag) => !failures.byTag.has(tag.name))
  const roots = [...unfailed.map((tag) => tag.digest), ...chosen.digests]
  if (isDue) return { asked: new Set([...manifests, ...roots]), settled: new Set() }
  return { asked: new Set(manifests), settled: new Set(roots.filter((digest) => !manifests.has(digest))) }
}

/** What the repository has of these manifests, and is to keep, that is not asked: where there are platforms, less what they leave out. */
async function manifestsBelow(
  copying: Copying,
  run: PlacedRun,
  { asked, settled }: { asked: ReadonlySet<Digest>; settled: ReadonlySet<Digest> },
): Promise<Set<Digest>> {
  const roots = new Set([...asked, ...settled])
  const all =
    copying.platforms.length > 0
      ? [...copying.indexes.values()].flatMap(({ children }) => children)
      : await closure(copying, run.repositoryId, roots, { companions: false })
  return new Set([...settled, ...all].filter((digest) => !asked.has(digest)))
}

/** What of the repository has companion tags upstream. */
async function listedHere(copying: Copying, { run, chosen }: Synced): Promise<ReadonlySet<Digest>> {
  const stems = [...(chosen.companions?.keys() ?? [])]
  const subjects = stems.flatMap((stem) => companionSubject(stem) ?? [])
  return membersOf(copying, run.repositoryId, subjects)
}

/** What the repository has of these and below them. */
export async function closure(
  { catalog, signal }: Pick<Copying, 'catalog' | 'signal'>,
  repositoryId: string,
  roots: ReadonlySet<Digest>,
  { companions, childless }: { companions: boolean; childless?: ReadonlySet<Digest> },
): Promise<Digest[]> {
  const found = new Set<Digest>()
  for (const digests of inBatches([...roots], rootsAtOnce)) {
    const left = digests.filter((digest) => childless?.has(digest))
    const request = { repositoryId, digests, companions, childless: left }
    const reply = await catalog.call('closure', request, { signal })
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

/**
 * Without a list nobody can tell which companion tags upstream has of what it was not asked about; of what is settled it was asked
 * for all but the one that stands for the API.
 */
function keptTags({ tags }: RepositoryNow, subjects: ReadonlySet<Digest>, settled: ReadonlySet<Digest>): string[] {
  const plain = new Set([...subjects].map(companionTagOf))
  return [...tags.keys()].filter((name) => {
    const subject = companionSubject(name)
    return plain.has(name) || (subject !== undefined && subjects.has(subject) && !settled.has(subject))
  })
}
