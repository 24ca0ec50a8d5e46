import type { ManifestSignature } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { companionStem, companionSubject, companionTagOf } from '@berth/signatures'
import type { FetchDeps } from '../fetch/deps.ts'
import type { Failures } from '../fetch/failures.ts'
import type { Graph } from '../fetch/graph.ts'
import { inBatches } from '../fetch/in-parallel.ts'
import { type Chosen, isMirror } from './chosen.ts'
import { type Companions, fetchCompanions } from './fetch-companions.ts'
import type { PlacedRun } from './placed-run.ts'
import { type RepositoryNow, readClosure, readMembers } from './read-repository.ts'

/**
 * The companions of what is synced. `signatures` are those that are new. For a mirror: `staying` manifests stay without a tag,
 * `kept` tags stay as they are.
 */
export type FollowedCompanions = Companions & { staying: Digest[]; kept: string[] }

/** `isDue`: what belongs to tags that did not move is asked for too. `isStrict`: signatures are required. */
type Synced = { run: PlacedRun; chosen: Chosen; now: RepositoryNow; isDue: boolean; isStrict: boolean }
const namesAtOnce = 5_000

/**
 * Fetches signatures, SBOMs and whatever else refers to what is synced. Upstream is asked about every manifest that is new and, when
 * that is due, about every tag and digest that is wanted, so that a new signature of a tag that did not move is found; else only for
 * companion tags of those. Of other manifests that are here already it is asked about companion tags that its list shows.
 */
export async function followCompanions(
  deps: FetchDeps,
  graph: Graph,
  synced: Synced,
  signal: AbortSignal,
): Promise<FollowedCompanions> {
  const { catalog } = deps
  const { run, chosen, now } = synced
  const { repositoryId } = run
  const { asked, unmoved } = partRoots(deps.report.failures, graph, synced)
  const mirrors = isMirror(run, chosen)
  const below = mirrors
    ? await manifestsBelow(deps, graph, repositoryId, { asked, unmoved }, signal)
    : await listedHere(catalog, synced, signal)
  const followed = {
    asked,
    unmoved,
    listedOnly: below,
    listed: chosen.companions,
    tags: now.tags,
    repositoryId,
    isStrict: synced.isStrict,
  }
  const found = await fetchCompanions(deps, graph, followed, signal)
  const named = new Set(chosen.tags.map((tag) => tag.name))
  const companions = {
    ...found,
    tags: found.tags.filter((tag) => !named.has(tag.name)),
    moved: found.moved.filter((tag) => !named.has(tag.name)),
    signatures: await newSignatures(catalog, repositoryId, found.signatures, signal),
  }
  if (!mirrors) return { ...companions, staying: [], kept: [] }
  // Upstream was not asked what refers to these, or did not say, so what the repository has of it is no less than upstream has.
  const roots = new Set([...below, ...found.here, ...found.unknown])
  // All that is wanted below the childless ones is among them.
  const unasked = await readClosure(catalog, repositoryId, roots, { companions: true, childless: below }, signal)
  const staying = [...found.referrers, ...unasked.filter((digest) => !below.has(digest))]
  const unlisted = chosen.companions ? [] : keptTags(now, new Set(unasked), unmoved)
  return { ...companions, staying, kept: [...unlisted, ...companionTagsOf(now, found.unknown)] }
}

/** What is wanted, parted into what upstream is asked about in every way and what only in part: `unmoved` is here already. */
function partRoots(
  failures: Failures,
  { manifests }: Graph,
  { chosen, isDue }: Synced,
): { asked: Set<Digest>; unmoved: Set<Digest> } {
  const unfailed = chosen.tags.filter((tag) => !failures.byTag.has(tag.name))
  const roots = [...unfailed.map((tag) => tag.digest), ...chosen.digests]
  if (isDue) return { asked: new Set([...manifests, ...roots]), unmoved: new Set() }
  return { asked: new Set(manifests), unmoved: new Set(roots.filter((digest) => !manifests.has(digest))) }
}

/** What the repository has of these manifests, and is to keep, that is not asked: where there are platforms, less what they leave out. */
async function manifestsBelow(
  { catalog, options }: Pick<FetchDeps, 'catalog' | 'options'>,
  { indexes }: Graph,
  repositoryId: string,
  { asked, unmoved }: { asked: ReadonlySet<Digest>; unmoved: ReadonlySet<Digest> },
  signal: AbortSignal,
): Promise<Set<Digest>> {
  const roots = new Set([...asked, ...unmoved])
  const all =
    options.platforms.length > 0
      ? [...indexes.values()].flatMap(({ children }) => children)
      : await readClosure(catalog, repositoryId, roots, { companions: false }, signal)
  return new Set([...unmoved, ...all].filter((digest) => !asked.has(digest)))
}

/** What of the repository has companion tags upstream. */
async function listedHere(
  catalog: FetchDeps['catalog'],
  { run, chosen }: Synced,
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const stems = [...(chosen.companions?.keys() ?? [])]
  const subjects = stems.flatMap((stem) => companionSubject(stem) ?? [])
  return readMembers(catalog, run.repositoryId, subjects, signal)
}

async function newSignatures(
  catalog: FetchDeps['catalog'],
  repositoryId: string,
  signatures: readonly ManifestSignature[],
  signal: AbortSignal,
): Promise<ManifestSignature[]> {
  const known = new Set<string>()
  for (const some of inBatches(signatures, namesAtOnce)) {
    const names = some.map((signature) => signature.name)
    for (const name of (await catalog.call('list-known-signatures', { repositoryId, names }, { signal })).names)
      known.add(name)
  }
  return signatures.filter((signature) => !known.has(signature.name))
}

/** The companion tags that a repository has of these manifests. */
export function companionTagsOf({ tags }: Pick<RepositoryNow, 'tags'>, subjects: ReadonlySet<Digest>): string[] {
  const stems = new Set([...subjects].map(companionTagOf))
  return [...tags.keys()].filter((name) => stems.has(companionStem(name) ?? ''))
}

/**
 * Tags of companions that a mirror leaves alone, where upstream gave no list: it was not asked which it has of these subjects. For
 * companion tags of what is unmoved it was asked, save for the one that stands for the API.
 */
function keptTags({ tags }: RepositoryNow, subjects: ReadonlySet<Digest>, unmoved: ReadonlySet<Digest>): string[] {
  const plain = new Set([...subjects].map(companionTagOf))
  return [...tags.keys()].filter((name) => {
    const subject = companionSubject(name)
    return plain.has(name) || (subject !== undefined && subjects.has(subject) && !unmoved.has(subject))
  })
}
