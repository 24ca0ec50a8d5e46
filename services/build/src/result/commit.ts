import type { CatalogCommands, CommandClient, ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { AuditEntry } from '@berth/service'
import { actorOfBuild, type Build } from '../builds/build-row.ts'

type Catalog = CommandClient<CatalogCommands>
export type Committed = CatalogCommands['commit-stage']['reply']

const commitPatienceMs = 300_000

/** What the audit trail is told of what a build changes. */
function auditOf(build: Build): AuditEntry {
  return {
    action: 'build',
    actor: actorOfBuild(build),
    object: { kind: 'repository', id: build.repositoryId, name: build.repository },
    detail: build.tags.join(' '),
    address: null,
    requestId: build.taskId,
  }
}

/** Makes the repository of a build, with a distribution, where there is none. Answers its id. */
export async function placeBuild(
  catalog: Catalog,
  build: Build,
  ownerId: string | null,
  signal: AbortSignal,
): Promise<string> {
  const request = { name: build.repository, actor: actorOfBuild(build), ownerId }
  return (await catalog.call('ensure-repository', request, { signal, audit: auditOf(build) })).repository.id
}

type Staged = { manifests: ManifestRecord[]; tags: { name: string; digest: Digest }[]; members: Digest[] }

/** Puts an image aside, with what refers to it, and its tags. */
export async function stageImage(
  catalog: Catalog,
  { build, fence }: { build: Build; fence: number },
  { manifests, tags, members }: Staged,
  signal: AbortSignal,
): Promise<void> {
  await catalog.call('stage-content', { stage: build.id, fence, manifests, tags, members }, { signal })
}

/** Commits what was staged as one version; again gives the same reply. */
export async function commitImage(
  catalog: Catalog,
  { build, fence, repositoryId }: { build: Build; fence: number; repositoryId: string },
  signal?: AbortSignal,
): Promise<Committed> {
  const request = {
    repositoryId,
    stage: build.id,
    fence,
    cause: 'build' as const,
    actor: actorOfBuild(build),
    taskId: build.taskId,
    mode: 'additive' as const,
    force: false,
  }
  const options = { timeoutMs: commitPatienceMs, audit: auditOf(build), ...(signal ? { signal } : {}) }
  return catalog.call('commit-stage', request, options)
}
