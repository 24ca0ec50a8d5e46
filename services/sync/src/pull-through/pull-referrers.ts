import { randomUUID } from 'node:crypto'
import type { ManifestRecord, SyncCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Referrer, type RegistryClient, UpstreamError } from '@berth/registry-client'
import { speaksOnly } from '@berth/signatures'
import { inParallel } from '../fetch/in-parallel.ts'
import { stageContent } from '../fetch/stage-content.ts'
import { readReferrersTag } from '../verify/read-referrers-tag.ts'
import { requirementsOf } from '../verify/requirements.ts'
import { auditEntryOf } from './audit-entry.ts'
import { endStage, fetchOne } from './fetch-one.ts'
import { type PulledUpstream, type PullThroughDeps, withUpstream } from './upstream.ts'

type Pull = SyncCommands['pull-through-referrers']

// Images have a few; each costs two requests and a place in the version, and a hostile upstream lists as many as it likes.
const mostReferrers = 200

/**
 * Fetches what refers to a manifest upstream, as its API says or, where it has none, the tag of the fallback schema
 * (distribution-spec, "Referrers Tag Schema"): all that is new here, as one version.
 */
export async function pullReferrers(
  deps: PullThroughDeps,
  request: Pull['request'],
  signal: AbortSignal,
): Promise<Pull['reply']> {
  return withUpstream(deps, request, signal, async (upstream) => {
    const listed = await listUpstream(upstream, request.digest, signal)
    return { changed: listed.length > 0 && (await pull(deps, upstream, request, listed, signal)) }
  })
}

async function listUpstream(
  { client, repository }: PulledUpstream,
  subject: Digest,
  signal: AbortSignal,
): Promise<readonly Digest[]> {
  const { referrers, refusal } = await askUpstream(client, repository, subject, signal)
  if (referrers) return referrers.slice(0, mostReferrers).map(({ digest }) => digest)
  const tagged = (await readReferrersTag(client, repository, subject, signal)).slice(0, mostReferrers)
  // Where upstream did not say that it has no such API, an empty list would be more than is known.
  if (refusal && tagged.length === 0) throw refusal
  return tagged
}

async function askUpstream(
  client: RegistryClient,
  repository: string,
  subject: Digest,
  signal: AbortSignal,
): Promise<{ referrers?: Referrer[] | undefined; refusal?: UpstreamError }> {
  try {
    return { referrers: await client.referrers(repository, subject, signal) }
  } catch (error) {
    if (error instanceof UpstreamError && error.status !== undefined) return { refusal: error }
    throw error
  }
}

async function pull(
  deps: PullThroughDeps,
  upstream: PulledUpstream,
  { via, name, digest: subject, actor }: Pull['request'],
  listed: readonly Digest[],
  signal: AbortSignal,
): Promise<boolean> {
  const { catalog } = deps
  const stage = { catalog, id: randomUUID(), fence: 1 }
  const audit = auditEntryOf({ name, actor, detail: `referrers of ${subject}` }, stage.id)
  const { repository: target } = await catalog.call('ensure-pulled', { via, name, actor }, { signal, audit })
  const here = await catalog.call('list-members', { repositoryId: target.id, digests: [...listed] }, { signal })
  const missing = listed.filter((digest) => !here.digests.includes(digest))
  if (missing.length === 0) {
    // Another replica may have fetched them just now.
    await catalog.call('await-served', { repository: target.id }, { signal })
    return false
  }
  const holder = `pull-through:${stage.id}`
  try {
    const members: Digest[] = []
    const isStrict = (await requirementsOf(catalog, upstream.remote, target.id, signal)).length > 0
    const check = (record: ManifestRecord) => refuseStrangers(record, { subject, isStrict }, upstream)
    await inParallel(missing, upstream.remote.concurrency, signal, async (digest, both) => {
      try {
        await fetchOne(deps, upstream, { digest, stage, holder, repositoryId: target.id, check }, both)
        members.push(digest)
      } catch (error) {
        both.throwIfAborted()
        if (!isOfOne(error)) throw error
        deps.log.warn('what refers to a manifest is left out', { repository: name, digest, subject, error })
      }
    })
    if (members.length === 0) return false
    await stageContent(stage, { members }, signal)
    const commit = { repositoryId: target.id, stage: stage.id, fence: stage.fence, actor, taskId: null, force: false }
    await catalog.call('commit-stage', { ...commit, cause: 'sync', mode: 'additive' }, { signal, audit })
    return true
  } finally {
    await endStage(deps, stage, holder)
  }
}

/**
 * Refuses what a list names and that does not refer there: the list is no way for other things to come in. What only says something
 * about another manifest is not signed itself; where signatures are required an index or an image does not come on these terms.
 */
function refuseStrangers(
  record: ManifestRecord,
  { subject, isStrict }: { subject: Digest; isStrict: boolean },
  { host, repository }: PulledUpstream,
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
