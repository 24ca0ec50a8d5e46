import type { ManifestRecord, ManifestSignature } from '@berth/commands'
import { type Digest, isTag } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import { companionTagOf, speaksOnly } from '@berth/signatures'
import type { FetchDeps } from '../fetch/deps.ts'
import { fetchGraph } from '../fetch/fetch-graph.ts'
import type { Graph } from '../fetch/graph.ts'
import { inParallel } from '../fetch/in-parallel.ts'
import { isReferrer, type Said } from '../verify/companion.ts'
import { atomicSignature, lookasideSignatures } from '../verify/lookaside.ts'
import { readReferrersTag } from '../verify/read-referrers-tag.ts'
import type { ListedCompanions, ResolvedTag } from './chosen.ts'
import { readMembers } from './read-repository.ts'

/**
 * What belongs to manifests that are synced. `moved` and `added` are those of `tags` and `referrers` that the repository does not
 * have; `here` are manifests that it has and that upstream was not asked about.
 */
export type Companions = {
  tags: ResolvedTag[]
  moved: ResolvedTag[]
  referrers: Set<Digest>
  added: Set<Digest>
  here: Set<Digest>
  signatures: ManifestSignature[]
  /** Manifests of which upstream did not say what belongs to them. */
  unknown: Set<Digest>
}

// A signature of an SBOM of an image is two levels; no real chain comes near this, and a hostile upstream must not go on for ever.
const mostLevels = 10
const suffixes = ['.sig', '.att', '.sbom'] as const

/** What to look for companions of, and what the repository has. */
export type Followed = {
  /** Asked after by tag and through the APIs. */
  asked: Iterable<Digest>
  /** Asked after by tag only. */
  unmoved: ReadonlySet<Digest>
  /** Here with all they had: only companion tags of theirs that a list shows are looked at. */
  listedOnly: Iterable<Digest>
  listed: ListedCompanions | undefined
  tags: ReadonlyMap<string, Digest>
  repositoryId: string
  /** Signatures are required: what only refers to something is not signed itself, so it may be neither an index that vouches for others nor an image. */
  isStrict: boolean
}
/** Finds and fetches the companions of manifests, and theirs in turn. */
export async function fetchCompanions(
  deps: FetchDeps,
  graph: Graph,
  followed: Followed,
  signal: AbortSignal,
): Promise<Companions> {
  const { tags, repositoryId, isStrict } = followed
  const found = {
    tags: [],
    moved: [],
    referrers: new Set(),
    added: new Set(),
    here: new Set(),
    signatures: [],
    unknown: new Set(),
  } as Companions
  const said: Said = new Map()
  const finder = createFinder(deps, followed, { found, said }, signal)
  const seen = new Set<Digest>()
  const firstSeen = (digests: Iterable<Digest>) =>
    [...digests].filter((digest) => !seen.has(digest) && seen.add(digest) !== undefined)
  let asked = firstSeen(followed.asked)
  firstSeen(followed.unmoved)
  let shown = firstSeen(followed.listedOnly)
  for (let level = 0; (level === 0 || asked.length + shown.length > 0) && level < mostLevels; level++) {
    const [tagsBefore, referrersBefore] = [found.tags.length, new Set(found.referrers)]
    await finder.ask(asked)
    if (level === 0) await finder.askTags(followed.unmoved)
    await finder.askListed(shown)
    const newTags = found.tags.slice(tagsBefore)
    const moved = newTags.filter((tag) => tags.get(tag.name) !== tag.digest)
    const referrers = [...found.referrers].filter((digest) => !referrersBefore.has(digest))
    const members = await readMembers(deps.catalog, repositoryId, referrers, signal)
    const added = referrers.filter((digest) => !members.has(digest))
    found.moved.push(...moved)
    for (const digest of added) found.added.add(digest)
    // Platforms are a choice among images; what refers to one comes whole.
    const tagged = new Set(moved.map((tag) => tag.digest))
    const refused = new Set<Digest>()
    const accepts = (record: ManifestRecord) => {
      const isOffered = tagged.has(record.digest) || isReferrer(record, said)
      if (isOffered && (!isStrict || speaksOnly(record))) return true
      refused.add(record.digest)
      return false
    }
    const whole = { ...deps, options: { ...deps.options, platforms: [] } }
    const fetched = await fetchGraph(whole, graph, [...tagged, ...added], signal, accepts)
    leaveOut(refused, graph, found)
    asked = firstSeen(fetched.filter((digest) => !refused.has(digest)))
    const accepted = newTags.filter((tag) => !refused.has(tag.digest))
    shown = firstSeen([...accepted.map((tag) => tag.digest), ...members])
    for (const digest of shown) found.here.add(digest)
  }
  return found
}

/**
 * Whether upstream answered, and not with what was asked: it may have no such API, or not for this login. That says nothing of the
 * image, which comes without what belongs to it (docs/protocol.md#leniency). A limit of upstream itself will meet everything else too;
 * one of where it sends us for this alone does not (https://github.com/artifacthub/hub/issues/4785).
 */
function isNoWord(error: unknown, host: string): boolean {
  if (!(error instanceof UpstreamError) || error.status === undefined) return false
  return error.code !== 'rate_limited' || error.host !== host
}

function leaveOut(refused: ReadonlySet<Digest>, graph: Graph, found: Companions): void {
  for (const digest of refused) for (const list of [graph.manifests, found.referrers, found.added]) list.delete(digest)
  found.tags = found.tags.filter((tag) => !refused.has(tag.digest))
  found.moved = found.moved.filter((tag) => !refused.has(tag.digest))
}

type Finding = Pick<Followed, 'listed' | 'unmoved' | 'tags' | 'isStrict'>

// Where it says so again and again an upstream is not asked any more, for each of its images: it is as unknown then.
const mostUnknownInARow = 10

function createFinder(
  { upstream, report: { failures } }: Pick<FetchDeps, 'upstream' | 'report'>,
  { listed, unmoved, tags, isStrict }: Finding,
  { found, said }: { found: Companions; said: Said },
  signal: AbortSignal,
) {
  const { client, repository, concurrency, host } = upstream
  // Learned from the first answers, and remembered for the run.
  const has: { referrers?: boolean; signatures?: boolean } = {}
  let unknownInARow = 0

  const tagsOf = (digest: Digest): readonly string[] => {
    const tag = companionTagOf(digest)
    // An index does not come unsigned: what the plain one lists is read, and looked at one by one.
    const isAsked = (name: string) => !isStrict || name !== tag
    if (listed) return (listed.get(tag) ?? []).filter(isAsked)
    // The plain one stands for the API where there is none, and is asked for when that would be.
    return [
      // Cosign writes the whole digest: of a SHA-512 that makes no tag.
      ...suffixes.map((suffix) => digest.replace(':', '-') + suffix).filter(isTag),
      ...((has.referrers === false || found.unknown.has(digest)) && !unmoved.has(digest) && isAsked(tag) ? [tag] : []),
    ]
  }
  const readTag = async (digest: Digest, name: string, both: AbortSignal) => {
    const tagged = await client.resolve(repository, name, both, tags.get(name))
    // GitLab takes such a tag for the manifest of that digest: it is none then.
    if (tagged && tagged !== digest) found.tags.push({ name, digest: tagged })
  }
  const readReferrers = async (digest: Digest, both: AbortSignal) => {
    if (unknownInARow >= mostUnknownInARow) found.unknown.add(digest)
    const isAsked = has.referrers !== false && !found.unknown.has(digest)
    const referrers = isAsked ? await client.referrers(repository, digest, both) : undefined
    if (isAsked) has.referrers = referrers !== undefined
    unknownInARow = isAsked ? 0 : unknownInARow
    const tagged = referrers || !isStrict ? [] : await readReferrersTag(client, repository, digest, both)
    for (const referrer of [...(referrers ?? []).map((one) => one.digest), ...tagged]) {
      found.referrers.add(referrer)
      said.set(referrer, (said.get(referrer) ?? new Set()).add(digest))
    }
  }
  const readSignatures = async (digest: Digest, both: AbortSignal) => {
    for await (const message of lookasideSignatures(upstream, digest, both))
      found.signatures.push(atomicSignature(digest, message))
    if (has.signatures === false) return
    const signatures = await client.signatures(repository, digest, both)
    has.signatures = signatures !== undefined
    for (const signature of signatures ?? []) found.signatures.push({ ...signature, digest })
  }
  const tried = async (digest: Digest, both: AbortSignal, work: () => Promise<void>) => {
    try {
      await work()
      failures.clear()
      return true
    } catch (error) {
      both.throwIfAborted()
      if (isNoWord(error, host)) found.unknown.add(digest)
      else failures.note(error, { digest })
      return false
    }
  }
  const readTags = async (digest: Digest, both: AbortSignal) => {
    for (const name of tagsOf(digest)) await tried(digest, both, () => readTag(digest, name, both))
  }
  const askAll = async (digest: Digest, both: AbortSignal) => {
    const isTold = await tried(digest, both, () => readReferrers(digest, both))
    if (!isTold) unknownInARow++
    await readTags(digest, both)
    await tried(digest, both, () => readSignatures(digest, both))
  }
  const askTags = (digests: Iterable<Digest>) =>
    inParallel(
      [...digests].filter((digest) => tagsOf(digest).length > 0),
      concurrency,
      signal,
      readTags,
    )
  return {
    askTags,
    ask: async (digests: readonly Digest[]) => {
      const [first, ...others] = digests
      // Alone, so that an upstream that has no such APIs is asked for each of them once.
      if (first) await askAll(first, signal)
      await inParallel(others, concurrency, signal, askAll)
    },
    askListed: async (digests: readonly Digest[]) => {
      if (listed) await askTags(digests)
    },
  }
}
