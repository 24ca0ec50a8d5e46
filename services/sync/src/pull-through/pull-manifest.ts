import { randomUUID } from 'node:crypto'
import type { CatalogCommands, CommandClient, ManifestRecord, SyncCommands } from '@berth/commands'
import { type Digest, parseDigest } from '@berth/oci'
import { Problem } from '@berth/service'
import { companionSubject, requireSignature, speaksOnly } from '@berth/signatures'
import { stageContent } from '../fetch/stage-content.ts'
import { requirementsOf } from '../verify/requirements.ts'
import { upstreamSignatures } from '../verify/upstream-signatures.ts'
import { auditEntryOf } from './audit-entry.ts'
import { endStage, fetchOne } from './fetch-one.ts'
import { type PulledUpstream, type PullThroughDeps, withUpstream } from './upstream.ts'
import { notUpstream } from './upstream-problem.ts'

type Pull = SyncCommands['pull-through']

const mostAttempts = 5

/**
 * Fetches one manifest as upstream has it now: with its configuration at once, layers when they are pulled, and of an index
 * nothing of what it names. Makes a version only when that is new here.
 */
export async function pullManifest(
  deps: PullThroughDeps,
  request: Pull['request'],
  signal: AbortSignal,
): Promise<Pull['reply']> {
  return withUpstream(deps, request, signal, async (upstream) => {
    for (let attempts = 1; ; attempts++) {
      try {
        return await pull(deps, upstream, request, signal)
      } catch (error) {
        // Another replica asked later, and what it heard is here: this answer may be the older one.
        if (!(error instanceof Problem) || error.code !== 'overtaken' || attempts === mostAttempts) throw error
      }
    }
  })
}

async function pull(
  deps: PullThroughDeps,
  upstream: PulledUpstream,
  { via, name, reference, actor }: Pull['request'],
  signal: AbortSignal,
): Promise<Pull['reply']> {
  const { catalog } = deps
  const { asked } = await catalog.call('take-pull-order', {}, { signal })
  const { client, repository } = upstream
  const digest =
    (await client.resolve(repository, reference, signal)) ?? (await client.resolveByGet(repository, reference, signal))
  if (!digest) throw notUpstream(upstream.host, upstream.repository, reference)
  const trust = await requireTrust(catalog, upstream, { name, reference, digest }, signal)
  // Only now: what upstream does not have, or is not to come in, leaves no trace here.
  const tag = parseDigest(reference) ? undefined : { name: reference, digest }
  const ensure = { via, name, actor, ...(tag ? { tag } : {}) }
  const stage = { catalog, id: randomUUID(), fence: 1 }
  const audit = auditEntryOf({ name, actor, detail: reference }, stage.id)
  const { repository: target, isHere } = await catalog.call('ensure-pulled', ensure, { signal, audit })
  if (isHere || (!tag && (await isMember(catalog, target.id, digest)))) {
    // Another replica may have fetched it just now.
    await catalog.call('await-served', { repository: target.id }, { signal })
    return { digest, changed: false }
  }
  const holder = `pull-through:${stage.id}`
  try {
    await fetchOne(deps, upstream, { digest, stage, holder, repositoryId: target.id, ...trust }, signal)
    await stageContent(stage, tag ? { tags: [tag] } : { members: [digest] }, signal)
    const commit = {
      repositoryId: target.id,
      stage: stage.id,
      fence: stage.fence,
      actor,
      taskId: null,
      force: false,
      asked,
    }
    await catalog.call('commit-stage', { ...commit, cause: 'sync', mode: 'additive' }, { signal, audit })
    return { digest, changed: true }
  } finally {
    await endStage(deps, stage, holder)
  }
}

// A companion is not signed itself.
const companion = /^sha\d+-[0-9a-f]{64,128}(\.(sig|att|sbom))?$/

type Asked = { name: string; reference: string; digest: Digest }

/**
 * Refuses what is not signed as the remote and the repository require. An index that is here vouches for what it names, to clients that
 * ask by digest, as those do that have read it. Not for a tag: companions come unsigned, and one that is an index could name anything. Answers
 * what is still to be seen of the manifest itself.
 */
async function requireTrust(
  catalog: CommandClient<CatalogCommands>,
  { remote, client, repository }: PulledUpstream,
  { name, reference, digest }: Asked,
  signal: AbortSignal,
): Promise<{ check?: (record: ManifestRecord) => void }> {
  const requirements = await requirementsOf(catalog, remote, name, signal)
  if (requirements.length === 0) return {}
  if (companion.test(reference)) {
    await requireSubject(catalog, name, reference, signal)
    return { check: (record) => refuseImage(record, reference) }
  }
  if (parseDigest(reference) && (await isNamed(catalog, name, digest, signal))) return {}
  for (const requirement of requirements) {
    const source = upstreamSignatures({ client, repository, sigstore: requirement.sigstore }, signal)
    await requireSignature(source, requirement, digest)
  }
  return {}
}

/** A companion comes unsigned because of what it belongs to: that was let in, or an index vouches for it that was. */
async function requireSubject(
  catalog: CommandClient<CatalogCommands>,
  name: string,
  tag: string,
  signal: AbortSignal,
): Promise<void> {
  const subject = companionSubject(tag)
  const { repository } = await catalog.call('find-repository', { repository: name }, { signal })
  if (subject && repository) {
    if (await isMember(catalog, repository.id, subject)) return
    if (await isNamed(catalog, name, subject, signal)) return
  }
  throw new Problem(403, 'companion_refused', `What ${tag} belongs to was not let into "${name}".`, {
    hint: 'Signatures are required there. Pull what it belongs to first, by its tag or digest.',
  })
}

function refuseImage(record: ManifestRecord, tag: string): void {
  if (speaksOnly(record)) return
  throw new Problem(403, 'companion_refused', `${tag} is an index or an image, which has to be signed itself.`, {
    hint: 'Under the tag of a companion only signatures, attestations and the like come unsigned.',
  })
}

async function isNamed(
  catalog: CommandClient<CatalogCommands>,
  repository: string,
  digest: Digest,
  signal: AbortSignal,
): Promise<boolean> {
  return (await catalog.call('check-named', { repository, digest }, { signal })).isNamed
}

async function isMember(
  catalog: CommandClient<CatalogCommands>,
  repositoryId: string,
  digest: Digest,
): Promise<boolean> {
  return (await catalog.call('list-members', { repositoryId, digests: [digest] })).digests.length > 0
}
