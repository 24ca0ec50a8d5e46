import { fitLists } from '@berth/bus'
import type { CatalogCommands, TagChanges } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Database, noteUnchanged, Problem, type Sql, type Transaction } from '@berth/service'
import { addManifests, beginEdit, type Edit, setTags } from '../intervals/edit.ts'
import { openRows } from '../intervals/write-rows.ts'
import { withinQuota } from '../namespaces/quota.ts'
import { refuseOvertaken } from '../pull-through/order.ts'
import { finishVersion } from '../versions/finish.ts'
import { foldLoose } from '../versions/fold-loose.ts'
import type { LockedRepository } from '../versions/locked-repository.ts'
import { lockRepository } from '../versions/repository-lock.ts'
import type { TagChange } from '../versions/tag-change.ts'
import { dropUnmirrored, guardMirror } from './mirror.ts'
import { clearStage, lockStage } from './stage-content.ts'
import { stagedTrees } from './staged-trees.ts'

type Commit = CatalogCommands['commit-stage']
/** The reply, and the revision that must be served before the caller gets it. */
export type StageCommit = { reply: Commit['reply']; revision: number }

/** What else belongs to a commit, in its transaction. */
export type CommitHooks = {
  /** Comes when the repository is locked and nothing has changed yet; what it throws ends the commit. */
  guard?: (sql: Transaction, repository: LockedRepository) => Promise<void>
  /** Comes when the version is there. */
  record?: (sql: Transaction, version: number) => Promise<void>
}

/**
 * Commits what was staged as one version, computed against the latest version under the repository's lock; readers see all of
 * it or nothing. The same stage committed again gives the same reply and no second version.
 */
export async function commitStage(
  db: Database,
  request: Commit['request'],
  hooks: CommitHooks = {},
): Promise<StageCommit> {
  return withinQuota(db, () => db.transaction((sql) => commitStageIn(sql, request, hooks)))
}

/** The same within a transaction of the caller's, which is to run inside `withinQuota`. */
export async function commitStageIn(
  sql: Transaction,
  request: Commit['request'],
  hooks: CommitHooks = {},
): Promise<StageCommit> {
  const locked = await lockRepository(sql, request.repositoryId)
  const stage = await lockStage(sql, request.stage, request.fence)
  if (stage.state === 'committed' && stage.reply) {
    noteUnchanged()
    return { reply: stage.reply, revision: locked.revision }
  }
  if (stage.state === 'closed')
    throw new Problem(409, 'stage_closed', 'This run was cancelled; it can no longer be committed.')
  await hooks.guard?.(sql, locked)
  const manifests = await stagedManifests(sql, request.stage, request.repositoryId)
  const tags = await sql.query<{ name: string; digest: Digest }>(
    `select name, digest
     from stage_tag
     where stage = $1
       and digest is not null
     order by name`,
    [request.stage],
  )
  const { repositoryId, asked } = request
  if (asked !== undefined) for (const tag of tags) await refuseOvertaken(sql, { repositoryId, tag, asked })
  await checkComplete(sql, request.stage, request.repositoryId)
  // What is loose was accepted; a mirror takes it away only after a version that has it.
  const repository = request.mode === 'mirror' ? await foldLoose(sql, locked, request.actor) : locked
  const edit = beginEdit(repository)
  if (request.mode === 'mirror') await guardMirror(sql, edit, request)
  await addTyped(sql, edit, request.stage)
  await addManifests(sql, edit, manifests)
  await setTags(sql, edit, tags)
  await addSignatures(sql, edit, request.stage)
  await addForeign(sql, edit, request.stage)
  if (request.mode === 'mirror') await dropUnmirrored(sql, edit, request.stage)
  const made = await finishVersion(sql, repository, edit, {
    cause: request.cause,
    actor: request.actor,
    taskId: request.taskId,
  })
  await hooks.record?.(sql, made.number)
  const reply = { version: made.number, created: made.created, ...countTags(made.tags) }
  await sql.query(`update stage set state = 'committed', reply = $2 where id = $1`, [
    request.stage,
    JSON.stringify(reply),
  ])
  await clearStage(sql, request.stage)
  return { reply, revision: made.revision }
}

async function stagedManifests(sql: Sql, stage: string, repositoryId: string): Promise<Digest[]> {
  const values = [stage, repositoryId]
  const rows = await sql.query<{ digest: Digest }>(`with recursive ${stagedTrees} select digest from closure`, values)
  return rows.map((row) => row.digest)
}

/** Puts manifests in whose bytes leave their type open, under the type with which they were pushed where they come from. */
async function addTyped(sql: Sql, edit: Edit, stage: string): Promise<void> {
  const rows = await sql.query<{ pushedType: string; digests: Digest[] }>(
    `select pushed_type as "pushedType", array_agg(digest) as digests
     from stage_manifest
     where stage = $1
       and pushed_type <> ''
     group by pushed_type`,
    [stage],
  )
  for (const { pushedType, digests } of rows) await addManifests(sql, edit, digests, pushedType)
}

const stagedSignatures = `
  select staged.name, staged.digest, staged.content
  from stage_signature as staged
  join manifest_interval as member on member.repository_id = $1
    and member.digest = staged.digest
    and member.until is null
  where staged.stage = $4`

/** Puts staged signatures in, of manifests that are in the repository now; a name that is taken keeps what it has. */
async function addSignatures(sql: Sql, edit: Edit, stage: string): Promise<void> {
  await openRows(sql, edit, 'signature_interval', { wanted: stagedSignatures, values: [stage] })
}

const stagedForeign = `
  with stored as materialized (
    select blob.digest
    from blob
    join stage_blob as staged on staged.stage = $4 and staged.digest = blob.digest
    where blob.state = 'present'
    order by blob.digest
    for share of blob)
  select stored.digest
  from stored
  where exists (
    select
    from manifest_reference as reference
    join manifest_interval as member on member.repository_id = $1
      and member.digest = reference.manifest
      and member.until is null
    where reference.child = stored.digest
      and reference.role = 'layer')`

/** Puts stored foreign layers in that a manifest of the repository names. Their rows are held against the collector. */
async function addForeign(sql: Sql, edit: Edit, stage: string): Promise<void> {
  await openRows(sql, edit, 'blob_interval', { wanted: stagedForeign, values: [stage] })
}

const missingQuery = `
  with recursive ${stagedTrees},
  needed as (
    select digest, true as is_manifest
    from closure
    union
    select reference.child, false
    from closure
    join manifest_reference as reference on reference.manifest = closure.digest
      and reference.role in ('config', 'layer')
      and not reference.optional),
  held as materialized (
    select digest
    from blob
    where digest in (select digest from needed)
      and state in ('present', 'remote')
    for share)
  select needed.digest
  from needed
  where not exists (select from held where held.digest = needed.digest)
    or (is_manifest and not exists (select from manifest where manifest.digest = needed.digest))
  limit 10`

/**
 * Refuses a stage whose content is not all there: a manifest below the tags that is not recorded, or a blob whose bytes are
 * neither durable nor deferred. The blob rows are held until the end, so that the collector cannot take one meanwhile.
 */
async function checkComplete(sql: Sql, stage: string, repositoryId: string): Promise<void> {
  const missing = await sql.query<{ digest: string }>(missingQuery, [stage, repositoryId])
  if (missing.length === 0) return
  const digests = missing.map((row) => row.digest)
  throw new Problem(
    409,
    'stage_incomplete',
    `The change names content whose bytes are not here: ${digests.join(', ')}.`,
    { more: { missing: digests } },
  )
}

function countTags(changes: readonly TagChange[]): {
  tags: TagChanges
  tagCounts: { added: number; moved: number; removed: number }
} {
  const added = changes.filter((change) => !change.from).map((change) => change.tag)
  const removed = changes.filter((change) => !change.to).map((change) => change.tag)
  const moved = changes.filter((change) => change.from && change.to).map((change) => change.tag)
  return {
    tags: fitLists({ added, moved, removed }),
    tagCounts: { added: added.length, moved: moved.length, removed: removed.length },
  }
}
