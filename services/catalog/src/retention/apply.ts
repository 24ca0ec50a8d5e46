import type { Database, Transaction } from '@berth/service'
import { type Curation, curate, planCuration } from '../curation/curate.ts'
import { takeOut } from '../curation/take-out.ts'
import type { ContentCounts } from '../versions/counts.ts'
import type { VersionDiff } from '../versions/diff.ts'
import type { Edit } from '../versions/edit.ts'
import { isCurrent, planRetention, type RetentionPlan } from './plan.ts'

type Subject = { repositoryId: string; actor: string }
/** What was taken away, as one version; without `made` nothing was. */
export type Retained = {
  plan: RetentionPlan
  made: { number: number; revision: number; removed: ContentCounts } | undefined
}

/** Takes away what the rules do not keep. Looks before it locks: where nothing goes, no push waits for it. Throws 404. */
export async function applyRetention(db: Database, subject: Subject): Promise<Retained> {
  const seen = await planRetention(db, subject.repositoryId)
  if (!takesAnything(seen)) return { plan: seen, made: undefined }
  let plan = seen
  const { created, number, revision, removed } = await curate(db, curationOf(subject), async (sql, edit) => {
    plan = await carryOut(sql, edit, seen)
  })
  return { plan, made: created ? { number, revision, removed } : undefined }
}

/** Says what `applyRetention` would do, all that would go included, and does nothing. Throws 404. */
export async function foreseeRetention(
  db: Database,
  subject: Subject,
): Promise<{ plan: RetentionPlan; changes: VersionDiff | undefined }> {
  const seen = await planRetention(db, subject.repositoryId)
  if (!takesAnything(seen)) return { plan: seen, changes: undefined }
  let plan = seen
  const changes = await planCuration(db, curationOf(subject), async (sql, edit) => {
    plan = await carryOut(sql, edit, seen)
  })
  return { plan, changes }
}

function curationOf({ repositoryId, actor }: Subject): Curation {
  // What is loose was accepted; it must not go without a version that has it.
  return { repositoryId, actor, cause: 'remove', foldsFirst: true }
}

function takesAnything({ tags, untagged }: RetentionPlan): boolean {
  return tags.some((tag) => tag.goes) || untagged.some((manifest) => manifest.goes)
}

/** Judged again if anything has changed, now that nobody else can change it; so the lock is not held for the judging. */
async function carryOut(sql: Transaction, edit: Edit, seen: RetentionPlan): Promise<RetentionPlan> {
  const holds = await isCurrent(sql, edit.repositoryId, seen)
  const plan = holds ? seen : await planRetention(sql, edit.repositoryId)
  const unwanted = {
    tags: plan.tags.filter(({ goes }) => goes).map(({ tag }) => tag),
    manifests: plan.untagged.filter(({ goes }) => goes).map(({ digest }) => digest),
  }
  await takeOut(sql, edit, unwanted, { force: false })
  return plan
}
