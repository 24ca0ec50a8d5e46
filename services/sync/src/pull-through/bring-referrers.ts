import { randomUUID } from 'node:crypto'
import type { ManifestRecord, SyncCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import { inParallel } from '../copy/in-parallel.ts'
import { referrersByTag } from '../copy/referrers-tag.ts'
import { speaksOnly } from '../verify/companion.ts'
import { requirementsOf } from '../verify/requirements.ts'
import { copyOne, endStage } from './copy-one.ts'
import { type PullThroughParts, type Upstream, withUpstream } from './upstream.ts'

type Bring = SyncCommands['pull-through-referrers']

// Images have a few; each costs two requests and a place in the version, and a hostile upstream lists as many as it likes.
const mostBrought = 200

/**
 * Brings what refers to a manifest upstream, as its API says or, where it has none, the tag of the fallback schema
 * (distribution-spec, "Referrers Tag Schema"): all that is new here, as one version.
 */
export async function bringReferrers(
  parts: PullThroughParts,
  request: Bring['request'],
  signal: AbortSignal,
): Promise<Bring['reply']> {
  return withUpstream(parts, request, signal, async (upstream) => {
    const listed = await listUpstream(upstream, request.digest, signal)
    return { changed: listed.length > 0 && (await bring(parts, upstream, request, listed, signal)) }
  })
}

async function listUpstream(
  { client, repository }: Upstream,
  subject: Digest,
  signal: AbortSignal,
): Promise<readonly Digest[]> {
  const referrers = await client.referrers(repository, subject, signal)
  if (referrers) return referrers.slice(0, mostBrought).map(({ digest }) => digest)
  return (await referrersByTag(client, repository, subject, signal)).slice(0, mostBrought)
}

async function bring(
  parts: PullThroughParts,
  upstream: Upstream,
  { via, name, digest: subject, actor }: Bring['request'],
  listed: readonly Digest[],
  signal: AbortSignal,
): Promise<boolean> {
  const { catalog } = parts
  const { repository: target } = await catalog.call('ensure-pulled', { via, name, actor }, { signal })
  const here = await catalog.call('members', { repositoryId: target.id, digests: [...listed] }, { signal })
  const missing = listed.filter((digest) => !here.digests.includes(digest))
  if (missing.length === 0) {
    // Another replica may have brought them just now.
    await catalog.call('until-served', { repository: target.id }, { signal })
    return false
  }
  const stage = randomUUID()
  const holder = `pull-through:${stage}`
  try {
    const members: Digest[] = []
    const isStrict = (await requirementsOf(catalog, upstream.remote, target.id, signal)).length > 0
    const check = (record: ManifestRecord) => refuseStrangers(record, { subject, isStrict }, upstream)
    await inParallel(missing, upstream.remote.concurrency, signal, async (digest, both) => {
      try {
        await copyOne(parts, upstream, { digest, stage, holder, repositoryId: target.id, check }, both)
        members.push(digest)
      } catch (error) {
        both.throwIfAborted()
        if (!isOfOne(error)) throw error
        parts.log.warn('what refers to a manifest is left out', { repository: name, digest, subject, error })
      }
    })
    if (members.length === 0) return false
    await catalog.call('stage-content', { stage, fence: 1, manifests: [], tags: [], members }, { signal })
    const commit = { repositoryId: target.id, stage, fence: 1, actor, taskId: null, force: false }
    await catalog.call('commit-stage', { ...commit, cause: 'sync', mode: 'additive' }, { signal })
    return true
  } finally {
    await endStage(parts, stage, holder)
  }
}

/**
 * Refuses what a list names and that does not refer there: the list is no way to bring other things. What speaks for others is not
 * signed itself; where signatures are required an index or an image is not taken on these terms.
 */
function refuseStrangers(
  record: ManifestRecord,
  { subject, isStrict }: { subject: Digest; isStrict: boolean },
  { host, repository }: Upstream,
): void {
  if (record.subject === subject && !(isStrict && !speaksOnly(record))) return
  const why =
    record.subject === subject ? 'is an index or an image, which has to be signed' : `does not refer to ${subject}`
  throw new UpstreamError('protocol', `${record.digest} of ${repository} ${why}`, { host })
}

/** Whether it says something of one manifest only: others may still be had. */
function isOfOne(error: unknown): boolean {
  return error instanceof UpstreamError && ['not_found', 'bad_digest', 'protocol'].includes(error.code)
}
