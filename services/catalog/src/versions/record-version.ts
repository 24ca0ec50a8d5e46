import { catalogEvents, fitLists, recordEvents } from '@berth/bus'
import type { VersionCause } from '@berth/commands'
import type { Actor, Transaction } from '@berth/service'
import type { Edit } from '../intervals/edit.ts'
import { chargeQuota, type QuotaUse } from '../namespaces/quota.ts'
import type { ContentCounts } from './counts.ts'
import { keepImmutable } from './immutable-tags.ts'
import type { LockedRepository } from './locked-repository.ts'
import type { TagChange } from './tag-change.ts'

export type MadeVersion = {
  number: number
  revision: number
  created: boolean
  added: ContentCounts
  removed: ContentCounts
  /** All of them; of a rollback to an old version, as many as its event names. */
  tags: TagChange[]
  /** How far the quota of the namespace is used up then, if it has one. */
  quota?: QuotaUse | undefined
}
export type Making = {
  cause: VersionCause
  actor: Actor
  taskId: string | null
  base?: number
  /** The hash of the content, where it is known to be that of a version: then not all that changed has to be gone through. */
  contentHash?: string
  /** The first version of the run that this one is a part of. */
  partOf?: number | undefined
}

/** How the content of a new version differs from that of the latest, and what it is. */
export type Change = {
  added: ContentCounts
  removed: ContentCounts
  /** All that changes, or as many as the event names: then `movedTags` tells of more. */
  tags: TagChange[]
  movedTags: number
  present: ContentCounts
  /** Digests of manifests and blobs that come in. */
  incoming: readonly string[]
  contentHash: string
  /** The version by which the content is read until its intervals are written. */
  contentOf?: number
}

/**
 * Records a version of a locked repository with its facts, its events and the repository's new head, which are there once the
 * transaction is committed. Refuses what would touch an immutable tag or exceed the quota.
 */
export async function recordVersion(
  sql: Transaction,
  repository: LockedRepository,
  edit: Edit,
  making: Making,
  change: Change,
): Promise<MadeVersion> {
  const { added, removed, tags, present, contentHash } = change
  keepImmutable(repository, tags)
  const quota = await chargeQuota(sql, repository, change.incoming)
  const made = { number: edit.number, revision: edit.revision, created: true, added, removed, tags, quota }
  const recorded = [
    // The time at which it was made and not that at which its transaction began, which may have waited: the times of versions rise.
    sql.prepared(
      'insert-version',
      `insert into version (
         repository_id, number, base, cause, created_by, created_by_id, task_id, revision, present, added, removed, content_hash,
         part_of, created_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, greatest(
         clock_timestamp(),
         (select created_at + interval '1 microsecond' from version where repository_id = $1 and number = $2 - 1)))`,
      [
        edit.repositoryId,
        edit.number,
        making.base ?? repository.latestVersion,
        making.cause,
        making.actor.name,
        making.actor.id,
        making.taskId,
        edit.revision,
        JSON.stringify(present),
        JSON.stringify(added),
        JSON.stringify(removed),
        contentHash,
        making.partOf ?? null,
      ],
    ),
    sql.prepared(
      'move-head',
      `update repository
       set latest_version = $2, revision = $3, loose_since = null, content_of = $4,
         pulled_from = case when $5 then null else pulled_from end
       where id = $1`,
      [edit.repositoryId, edit.number, edit.revision, change.contentOf ?? null, bringsOther(making)],
    ),
    announce(sql, repository, made, making, change),
  ]
  for (const statement of recorded) sql.later(statement)
  return made
}

/** Whether it may bring in what pull-through did not; what only takes away or goes back leaves the content of one upstream. */
function bringsOther({ cause, taskId }: Making): boolean {
  // A pull-through makes its versions without a task.
  return cause === 'sync' ? taskId !== null : ['push', 'modify', 'copy', 'tag'].includes(cause)
}

async function announce(
  sql: Transaction,
  repository: LockedRepository,
  made: MadeVersion,
  making: Making,
  { contentHash, movedTags }: Change,
): Promise<void> {
  const about = { repositoryId: repository.id, actor: making.actor }
  const named = { repositoryId: repository.id, name: repository.name }
  const { added, removed, number, tags } = made
  const rolledBack = making.cause === 'rollback' && making.base !== undefined
  await recordEvents(sql, [
    {
      ...about,
      kind: catalogEvents.versionCreated,
      data: {
        ...named,
        number,
        revision: made.revision,
        base: making.base ?? repository.latestVersion,
        cause: making.cause,
        taskId: making.taskId,
        added,
        removed,
        contentHash,
      },
    },
    ...(rolledBack
      ? [{ ...about, kind: catalogEvents.versionRolledBack, data: { ...named, number, to: making.base } }]
      : []),
    ...(tags.length > 0
      ? [
          {
            ...about,
            kind: catalogEvents.tagsMoved,
            data: { ...named, version: number, ...fitLists({ tags }), total: movedTags },
          },
        ]
      : []),
  ])
}
