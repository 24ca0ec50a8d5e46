import { randomUUID } from 'node:crypto'
import type { CatalogCommands, CommandClient, SyncCommands } from '@berth/commands'
import { type Digest, parseDigest } from '@berth/oci'
import { Problem } from '@berth/service'
import { requireSignature } from '../verify/require-signature.ts'
import { requirementsOf } from '../verify/requirements.ts'
import { copyOne, endStage } from './copy-one.ts'
import { type PullThroughParts, type Upstream, withUpstream } from './upstream.ts'
import { notUpstream } from './upstream-problem.ts'

type Pull = SyncCommands['pull-through']

const mostAttempts = 5

/**
 * Brings one manifest as upstream has it now: with its configuration at once, layers when they are pulled, and of an index
 * nothing of what it names. Makes a version only when that is new here.
 */
export async function pullThrough(
  parts: PullThroughParts,
  request: Pull['request'],
  signal: AbortSignal,
): Promise<Pull['reply']> {
  return withUpstream(parts, request, signal, async (upstream) => {
    for (let attempts = 1; ; attempts++) {
      try {
        return await bring(parts, upstream, request, signal)
      } catch (error) {
        // Another replica asked later, and what it heard is here: this answer may be the older one.
        if (!(error instanceof Problem) || error.code !== 'overtaken' || attempts === mostAttempts) throw error
      }
    }
  })
}

async function bring(
  parts: PullThroughParts,
  upstream: Upstream,
  { via, name, reference, actor }: Pull['request'],
  signal: AbortSignal,
): Promise<Pull['reply']> {
  const { catalog } = parts
  const { asked } = await catalog.call('pull-order', {}, { signal })
  const digest = await upstream.client.resolve(upstream.repository, reference, signal)
  if (!digest) throw notUpstream(upstream.host, upstream.repository, reference)
  await requireTrust(catalog, upstream, { name, reference, digest }, signal)
  // Only now: what upstream does not have, or nobody may have, leaves no trace here.
  const tag = parseDigest(reference) ? undefined : { name: reference, digest }
  const ensure = { via, name, actor, ...(tag ? { tag } : {}) }
  const { repository: target, isHere } = await catalog.call('ensure-pulled', ensure, { signal })
  if (isHere || (!tag && (await isMember(catalog, target.id, digest)))) {
    // Another replica may have brought it just now.
    await catalog.call('until-served', { repository: target.id }, { signal })
    return { digest, changed: false }
  }
  const stage = randomUUID()
  const holder = `pull-through:${stage}`
  try {
    await copyOne(parts, upstream, { digest, stage, holder, repositoryId: target.id }, signal)
    const content = tag ? { tags: [tag] } : { tags: [], members: [digest] }
    await catalog.call('stage-content', { stage, fence: 1, manifests: [], ...content }, { signal })
    const commit = { repositoryId: target.id, stage, fence: 1, actor, taskId: null, force: false, asked }
    await catalog.call('commit-stage', { ...commit, cause: 'sync', mode: 'additive' }, { signal })
    return { digest, changed: true }
  } finally {
    await endStage(parts, stage, holder)
  }
}

// What speaks for others is not signed itself.
const companion = /^sha\d+-[0-9a-f]{64,128}(\.(sig|att|sbom))?$/

/**
 * Refuses what is not signed as the remote and the repository require. An index that is here vouches for what it names, to those who ask by digest
 * as clients do that have read it. Not for a tag: companions come unsigned, and one that is an index could name anything.
 */
async function requireTrust(
  catalog: CommandClient<CatalogCommands>,
  { remote, client, repository }: Upstream,
  { name, reference, digest }: { name: string; reference: string; digest: Digest },
  signal: AbortSignal,
): Promise<void> {
  if (companion.test(reference)) return
  const requirements = await requirementsOf(catalog, remote, name, signal)
  if (requirements.length === 0) return
  if (parseDigest(reference) && (await catalog.call('is-named', { repository: name, digest }, { signal })).isNamed)
    return
  for (const requirement of requirements) await requireSignature({ client, repository }, requirement, digest, signal)
}

async function isMember(
  catalog: CommandClient<CatalogCommands>,
  repositoryId: string,
  digest: Digest,
): Promise<boolean> {
  return (await catalog.call('members', { repositoryId, digests: [digest] })).digests.length > 0
}
