import { type Digest, isTag } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { Report } from '../fetch/deps.ts'
import type { Failures } from '../fetch/failures.ts'
import { inParallel } from '../fetch/in-parallel.ts'
import { companionStem } from '../filters/companion-tags.ts'
import { createTagFilter, type TagFilter } from '../filters/tag-filter.ts'
import type { OpenRemote } from '../remotes/open-remote.ts'
import type { Chosen, ListedCompanions, ResolvedTag } from './chosen.ts'

/**
 * What the wanted tags stand for upstream now; `here` is what they stand for here. Tags named one by one are asked for one by one,
 * without a list; one of those that is not there is an error, while a tag that vanishes between the list and the question is simply
 * not wanted any more.
 */
export async function resolveTags(
  { upstream, report }: { upstream: OpenRemote; report: Report },
  here: ReadonlyMap<string, Digest>,
  filters: { includeTags: string[]; excludeTags: string[] },
  signal: AbortSignal,
): Promise<Chosen> {
  const { progress, failures } = report
  const filter = createTagFilter(filters.includeTags, filters.excludeTags)
  const listed = filter.needsList ? await listTags(upstream, filter, failures, signal) : undefined
  const names = listed ? listed.names : filter.exact
  progress.tags.total = names.length
  const tags: ResolvedTag[] = []
  await inParallel(names, upstream.concurrency, signal, async (name, both) => {
    try {
      const digest = await upstream.client.resolve(upstream.repository, name, both, here.get(name))
      if (!digest && !filter.needsList) throw absent(upstream, `tag "${name}"`)
      if (digest && !filter.excludes(digest)) tags.push({ name, digest })
      failures.clear()
    } catch (error) {
      both.throwIfAborted()
      failures.note(error, { tag: name })
    }
    progress.tags.done++
  })
  return { tags, digests: filter.digests, companions: listed?.companions }
}

/** Makes sure that upstream has manifests that are wanted by digest: that Berth knows one from elsewhere is no right to it. */
export async function checkDigests(
  { upstream, report }: { upstream: OpenRemote; report: Pick<Report, 'failures'> },
  digests: readonly Digest[],
  signal: AbortSignal,
): Promise<void> {
  await inParallel(digests, upstream.concurrency, signal, async (digest, both) => {
    try {
      if (!(await upstream.client.resolve(upstream.repository, digest, both)))
        throw absent(upstream, `manifest ${digest}`)
    } catch (error) {
      both.throwIfAborted()
      report.failures.note(error, { digest })
    }
  })
}

function absent({ host, repository }: OpenRemote, what: string): UpstreamError {
  return new UpstreamError('not_found', `${host} has no ${what} in ${repository}`, { host, status: 404 })
}

type Listed = { names: readonly string[]; companions: ListedCompanions }

async function listTags(
  remote: OpenRemote,
  filter: TagFilter,
  failures: Failures,
  signal: AbortSignal,
): Promise<Listed> {
  const names = new Set<string>()
  const companions = new Map<string, string[]>()
  for await (const page of remote.client.tags(remote.repository, signal)) {
    for (const tag of page) {
      const stem = companionStem(tag)
      if (!filter.wants(tag)) {
        if (stem && isTag(tag)) companions.set(stem, [...(companions.get(stem) ?? []), tag])
      } else if (isTag(tag)) names.add(tag)
      else noTag(remote, tag, failures)
    }
  }
  return { names: filter.newest([...names]), companions }
}

const mostShown = 200

/** In a path such a name could mean something else than a tag of this repository, and it could not be pulled from here. */
function noTag({ host, repository }: OpenRemote, name: string, failures: Failures): void {
  const shown = JSON.stringify(name.slice(0, mostShown)).slice(1, -1)
  const message = `${host} lists "${shown}" in ${repository}, which is no tag; leave it out by excludeTags`
  failures.note(new UpstreamError('protocol', message, { host }), { tag: shown })
}
