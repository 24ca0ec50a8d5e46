import type { Digest } from '@berth/oci'
import { createTagFilter } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { OpenRemote } from '../remotes/open-remote.ts'
import { inParallel } from './in-parallel.ts'
import type { Progress } from './progress.ts'

export type ResolvedTag = { name: string; digest: Digest }

/**
 * What the wanted tags stand for upstream now. Tags named one by one are asked for one by one, without a list; one of those
 * that is not there is an error, while a tag that vanishes between the list and the question is simply not wanted any more.
 */
export async function resolveTags(
  remote: OpenRemote,
  filters: { includeTags: string[]; excludeTags: string[]; concurrency: number },
  progress: Progress,
  signal: AbortSignal,
): Promise<ResolvedTag[]> {
  const { exact, wants } = createTagFilter(filters.includeTags, filters.excludeTags)
  const names = exact ?? (await listTags(remote, wants, signal))
  progress.tags.total = names.length
  const resolved: ResolvedTag[] = []
  await inParallel(names, filters.concurrency, signal, async (name, both) => {
    const found = await remote.client.resolve(remote.repository, name, both)
    if (!found && exact)
      throw new UpstreamError('not_found', `${remote.host} has no tag "${name}" in ${remote.repository}`, {
        host: remote.host,
        status: 404,
      })
    if (found) resolved.push({ name, digest: found.digest })
    progress.tags.done++
  })
  return resolved
}

async function listTags(remote: OpenRemote, wants: (tag: string) => boolean, signal: AbortSignal): Promise<string[]> {
  const names = new Set<string>()
  for await (const page of remote.client.tags(remote.repository, signal))
    for (const tag of page) if (wants(tag)) names.add(tag)
  return [...names]
}
