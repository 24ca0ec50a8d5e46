import { type Digest, isTag } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import { companionStem } from '@berth/signatures'
import type { Report } from '../fetch/deps.ts'
import { inParallel } from '../fetch/in-parallel.ts'
import { createTagFilter, type TagFilter } from '../filters/tag-filter.ts'
import type { OpenRemote } from '../remotes/open-remote.ts'
import type { Chosen, ListedCompanions, ResolvedTag } from './chosen.ts'

/**
 * What the wanted tags stand for upstream now; `here` is what they stand for here. Tags named one by one are asked for one by one,
 * without a list; `onlyTags`, where there are any, are all that is asked for; one of those that is not there is an error, as is one that upstream lists and does not give. A tag that vanishes
 * between the list and the question, so that a second list has it no more, is simply not wanted any more.
 */
export async function resolveTags(
  { upstream, report }: { upstream: OpenRemote; report: Report },
  here: ReadonlyMap<string, Digest>,
  filters: { includeTags: string[]; excludeTags: string[]; onlyTags: readonly string[] },
  signal: AbortSignal,
): Promise<Chosen> {
  const { progress, failures } = report
  const filter = createTagFilter(filters.includeTags, filters.excludeTags)
  const listed = filter.needsList ? await listTags(upstream, filter, signal) : undefined
  const only = new Set(filters.onlyTags)
  const names = (listed ? listed.names : filter.exact).filter((name) => only.size === 0 || only.has(name))
  progress.tags.total = names.length
  const tags: ResolvedTag[] = []
  const withheld: string[] = []
  await inParallel(names, upstream.concurrency, signal, async (name, both) => {
    try {
      const digest = await resolveReference(upstream, name, here.get(name), both)
      if (!digest && !listed) throw absent(upstream, `tag "${name}"`)
      if (!digest) withheld.push(name)
      else if (!filter.excludes(digest)) tags.push({ name, digest })
      failures.clear()
    } catch (error) {
      both.throwIfAborted()
      failures.note(error, { tag: name })
    }
    progress.tags.done++
  })
  if (withheld.length > 0) {
    const isListed = await listAgain(upstream, withheld, signal)
    for (const tag of withheld) if (isListed(tag)) failures.note(notGiven(upstream, tag), { tag })
  }
  const { companions, skippedNames = [], isComplete = true } = listed ?? {}
  // Of what was not asked for nothing is known.
  const isListComplete = isComplete && only.size === 0
  return { tags, digests: only.size === 0 ? filter.digests : [], companions, skippedNames, isListComplete }
}

/** By HEAD, which costs an upstream little, and by GET where that knows nothing: some registries answer it with 404 for everything. */
async function resolveReference(
  { client, repository }: OpenRemote,
  reference: string,
  here: Digest | undefined,
  signal: AbortSignal,
): Promise<Digest | undefined> {
  return (
    (await client.resolve(repository, reference, signal, here)) ?? client.resolveByGet(repository, reference, signal)
  )
}

/** Whether upstream still lists a tag, of those that it did not give; of a list without a proven end that is not known. */
async function listAgain(
  { client, repository }: OpenRemote,
  names: readonly string[],
  signal: AbortSignal,
): Promise<(name: string) => boolean> {
  const gone = new Set(names)
  let isOpen = false
  for await (const page of client.tags(repository, signal, () => (isOpen = true)))
    for (const name of page) gone.delete(name)
  return (name) => isOpen || !gone.has(name)
}

function notGiven({ host, repository }: OpenRemote, tag: string): UpstreamError {
  const message = `${host} lists the tag "${tag}" in ${repository} and answers 404 when it is asked for it`
  return new UpstreamError('not_found', message, { host, status: 404 })
}

/** Makes sure that upstream has manifests that are wanted by digest: that Berth knows one from elsewhere is no right to it. */
export async function checkDigests(
  { upstream, report }: { upstream: OpenRemote; report: Pick<Report, 'failures'> },
  digests: readonly Digest[],
  signal: AbortSignal,
): Promise<void> {
  await inParallel(digests, upstream.concurrency, signal, async (digest, both) => {
    try {
      if (!(await resolveReference(upstream, digest, undefined, both))) throw absent(upstream, `manifest ${digest}`)
    } catch (error) {
      both.throwIfAborted()
      report.failures.note(error, { digest })
    }
  })
}

function absent({ host, repository }: OpenRemote, what: string): UpstreamError {
  return new UpstreamError('not_found', `${host} has no ${what} in ${repository}`, { host, status: 404 })
}

type Listed = {
  names: readonly string[]
  companions: ListedCompanions
  skippedNames: readonly string[]
  isComplete: boolean
}

const mostSkippedShown = 1_000
const mostCharactersShown = 200

/**
 * Reads upstream's list. A name that is no tag is left out and told of: in a path it could mean something else than a tag of this
 * repository, and it could not be pulled from here.
 */
async function listTags(remote: OpenRemote, filter: TagFilter, signal: AbortSignal): Promise<Listed> {
  const names: string[] = []
  const companions = new Map<string, string[]>()
  const skippedNames: string[] = []
  let isComplete = true
  const pages = remote.client.tags(remote.repository, signal, () => (isComplete = false))
  for await (const page of pages) {
    for (const tag of page) {
      const stem = companionStem(tag)
      if (!filter.wants(tag)) {
        if (stem && isTag(tag)) companions.set(stem, [...(companions.get(stem) ?? []), tag])
      } else if (isTag(tag)) names.push(tag)
      else if (skippedNames.length < mostSkippedShown) skippedNames.push(shown(tag))
    }
  }
  return { names: filter.newest(names), companions, skippedNames, isComplete }
}

/** A name as it can be stored and shown, whatever an upstream put into it. */
function shown(name: string): string {
  return JSON.stringify(name.slice(0, mostCharactersShown)).slice(1, -1)
}
