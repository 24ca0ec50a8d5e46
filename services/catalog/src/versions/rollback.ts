import { nameLimit } from '@berth/bus'
import { type Actor, type Database, Problem, type Sql, type Transaction } from '@berth/service'
import { beginEdit } from '../intervals/edit.ts'
import { restoreVersion } from '../intervals/restore.ts'
import { endOfRevisions, intervalTables, revisedBetween } from '../intervals/tables.ts'
import { withinQuota } from '../namespaces/quota.ts'
import type { ContentCounts } from './counts.ts'
import { diffVersions } from './diff.ts'
import { finishVersion } from './finish.ts'
import { foldLoose } from './fold-loose.ts'
import type { LockedRepository } from './locked-repository.ts'
import { type Change, type MadeVersion, type Making, recordVersion } from './record-version.ts'
import { lockRepository } from './repository-lock.ts'

/** `isWrittenOut`: whether its intervals are written; if not, `writeOutRollback` is to follow. */
export type RolledBack = MadeVersion & { isWrittenOut: boolean }

type Target = { number: number; revision: number; contentHash: string; present: ContentCounts }

// Writing a row takes some 25 µs here and again in registry, so these take no longer than comparing 100,000 tags does.
const mostAtOnce = 2_000

/**
 * Makes a new version with the content of an old one; none when the content is that already. Where more than `atOnce` intervals
 * would have to be written, the version only says whose content it has, and is not written out. Throws 404 for an unknown version.
 */
export async function rollBack(
  db: Database,
  request: { repositoryId: string; version: number; actor: Actor },
  atOnce: number = mostAtOnce,
): Promise<RolledBack> {
  return withinQuota(db, () =>
    db.transaction(async (sql) => {
      const locked = await lockRepository(sql, request.repositoryId)
      const target = await findTarget(sql, locked, request.version)
      // What is loose was accepted; it must not vanish without a version that has it.
      const inUse = [...locked.inUse, target.number]
      const repository = { ...(await foldLoose(sql, { ...locked, inUse }, request.actor)), inUse: locked.inUse }
      const { number: base, contentHash } = target
      const making: Making = { cause: 'rollback', actor: request.actor, taskId: null, base, contentHash }
      const change = await largeChange(sql, repository, target, atOnce)
      const edit = beginEdit(repository)
      if (change) return { ...(await recordVersion(sql, repository, edit, making, change)), isWrittenOut: false }
      await restoreVersion(sql, edit, target)
      return { ...(await finishVersion(sql, repository, edit, making)), isWrittenOut: true }
    }),
  )
}

async function findTarget(sql: Sql, { id, name, latestVersion }: LockedRepository, number: number): Promise<Target> {
  const [target] = await sql.query<Target>(
    'select number, revision, content_hash as "contentHash", present from version where repository_id = $1 and number = $2',
    [id, number],
  )
  if (target) return target
  throw new Problem(404, 'version_not_found', `${name} has no version ${number}.`, {
    field: 'version',
    hint: `Its latest version is ${latestVersion}.`,
  })
}

/** What going back changes, if that is more than `atOnce` intervals. */
async function largeChange(
  sql: Transaction,
  repository: LockedRepository,
  target: Target,
  atOnce: number,
): Promise<Change | undefined> {
  // Comparing goes through all that both versions hold: only where very much was written since.
  if (!(await isMuchLater(sql, repository.id, target.revision, atOnce))) return undefined
  const { counts, tags, manifests, blobs } = await diffVersions(sql, {
    repositoryId: repository.id,
    from: repository.latestVersion,
    to: target.number,
    limit: Number.MAX_SAFE_INTEGER,
  })
  const { moved } = counts.tags
  const countsOf = (side: 'added' | 'removed'): ContentCounts => ({
    tags: counts.tags[side] + moved,
    manifests: counts.manifests[side],
    blobs: counts.blobs[side],
    signatures: counts.signatures[side],
  })
  const [added, removed] = [countsOf('added'), countsOf('removed')]
  const written = [...Object.values(added), ...Object.values(removed)].reduce((sum, count) => sum + count, 0)
  if (written <= atOnce) return undefined
  return {
    added,
    removed,
    tags: repository.immutableTags.length > 0 ? tags : tags.slice(0, nameLimit),
    movedTags: tags.length,
    present: target.present,
    incoming: [...manifests.added, ...blobs.added],
    contentHash: target.contentHash,
    contentOf: target.number,
  }
}

/** Whether more than so many intervals were opened or closed after a revision. */
async function isMuchLater(sql: Sql, repositoryId: string, revision: number, count: number): Promise<boolean> {
  const later = intervalTables
    .map(
      ({ table }) => `(
        select
        from ${table}
        where repository_id = $1
          and ${revisedBetween(table, '$2', '$3')}
        limit $4::bigint + 1)`,
    )
    .join(' union all ')
  const [row] = await sql.query<{ count: number }>(`select count(*) from (${later}) as later`, [
    repositoryId,
    revision,
    endOfRevisions,
    count,
  ])
  return (row?.count ?? 0) > count
}
