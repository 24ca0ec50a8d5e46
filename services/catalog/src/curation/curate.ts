import type { VersionCause } from '@berth/commands'
import { type Actor, type Database, Problem, type Transaction } from '@berth/service'
import { beginEdit, type Edit } from '../intervals/edit.ts'
import { withinQuota } from '../namespaces/quota.ts'
import { diffVersions, type VersionDiff } from '../versions/diff.ts'
import { finishVersion } from '../versions/finish.ts'
import { foldLoose } from '../versions/fold-loose.ts'
import type { MadeVersion } from '../versions/record-version.ts'
import { lockRepository } from '../versions/repository-lock.ts'

export type Curation = {
  repositoryId: string
  actor: Actor
  cause: VersionCause
  /** The version that the caller has seen; when it is no longer the latest, nothing is changed. */
  baseVersion?: number | undefined
  /** Makes a version of what is loose first, so that it can be had again. */
  foldsFirst?: boolean
  /** The first version of the run that this one is a part of. */
  partOf?: number | undefined
}

const listed = 10_000

/** Edits a repository by hand: all of it is one version, or none when nothing changes. */
export async function curate(
  db: Database,
  curation: Curation,
  work: (sql: Transaction, edit: Edit) => Promise<void>,
): Promise<MadeVersion> {
  return withinQuota(db, () => db.transaction(async (sql) => (await carryOut(sql, curation, work)).made))
}

/** Says exactly what the same edit would change, and changes nothing. */
export async function planCuration(
  db: Database,
  curation: Curation,
  work: (sql: Transaction, edit: Edit) => Promise<void>,
): Promise<VersionDiff> {
  let planned: VersionDiff | undefined
  const undo = new Error('a plan is not carried out')
  try {
    await withinQuota(db, () =>
      db.transaction(async (sql) => {
        const { made, base } = await carryOut(sql, curation, work)
        planned = await diffVersions(sql, {
          repositoryId: curation.repositoryId,
          from: base,
          to: made.number,
          limit: listed,
        })
        throw undo
      }),
    )
  } catch (error) {
    if (error !== undo) throw error
  }
  if (!planned) throw new Error('a plan was made and lost')
  return planned
}

async function carryOut(
  sql: Transaction,
  curation: Curation,
  work: (sql: Transaction, edit: Edit) => Promise<void>,
): Promise<{ made: MadeVersion; base: number }> {
  const locked = await lockRepository(sql, curation.repositoryId)
  const { latestVersion } = locked
  if (curation.baseVersion !== undefined && curation.baseVersion !== latestVersion) {
    throw new Problem(
      409,
      'stale_base',
      `The latest version of ${locked.name} is ${latestVersion}, not ${curation.baseVersion}.`,
      {
        field: 'baseVersion',
        hint: 'Look at what changed, then send the change again with the latest version.',
        more: { latestVersion },
      },
    )
  }
  const repository = curation.foldsFirst ? await foldLoose(sql, locked, curation.actor) : locked
  const edit = beginEdit(repository)
  await work(sql, edit)
  const { cause, actor, partOf } = curation
  return {
    made: await finishVersion(sql, repository, edit, { cause, actor, partOf, taskId: null }),
    base: repository.latestVersion,
  }
}
