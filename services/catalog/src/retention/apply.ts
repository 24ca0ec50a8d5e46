import type { Digest } from '@berth/oci'
import type { Actor, Database, Sql, Transaction } from '@berth/service'
import { type Curation, curate, planCuration } from '../curation/curate.ts'
import { takeOut } from '../curation/take-out.ts'
import type { Edit } from '../intervals/edit.ts'
import { addCounts, type ContentCounts, noContent } from '../versions/counts.ts'
import type { VersionDiff } from '../versions/diff.ts'
import { ensureWrittenOut } from '../versions/ensure-written-out.ts'
import type { MadeVersion } from '../versions/record-version.ts'
import { planRetention, type RetentionPlan } from './plan.ts'
import { beginRun, isDone, type Run, stillHolds, withWent } from './run.ts'
import { findUntagged } from './untagged.ts'

type Subject = { repositoryId: string; actor: Actor; partOf?: number | undefined }
/** What was taken away; without `made` nothing was. `number` and `revision` are of the last of its `versions`. */
export type Retained = {
  plan: RetentionPlan
  made: { number: number; revision: number; removed: ContentCounts; versions: number } | undefined
}

const mostAtOnce = 250
const leastAtOnce = 50
// What a push may wait for, and as long again until registry serves it. Where each tag has a manifest and blobs of its own it is
// some 200 tags, where they share them all of 250.
const aimMs = 150
// After so many plans that were overtaken, the next is made while all pushes wait; else it might never come to an end.
const patience = 3

/**
 * Takes away what the rules do not keep, as one version, or as one for each `atOnce` tags and manifests, or fewer where these
 * take long, and in between pushes that wait come first. Looks before it locks: where nothing goes, no push waits for it. What
 * it took stays taken if it fails half-way. Throws 404.
 */
export async function applyRetention(
  db: Database,
  subject: Subject,
  { atOnce = mostAtOnce, onVersion }: { atOnce?: number; onVersion?: (made: MadeVersion) => Promise<void> } = {},
): Promise<Retained> {
  await ensureWrittenOut(db, subject.repositoryId)
  let run = beginRun(await planRetention(db, subject.repositoryId))
  let made: Retained['made']
  let first: number | undefined
  let size = atOnce
  for (let overtaken = 0; !isDone(run); ) {
    const turn = await takeTurn(db, { ...subject, partOf: first }, run, { atOnce: size, waits: overtaken < patience })
    // A part that took nothing, for its plan was overtaken, tells nothing of how long the next one takes.
    if (turn.next) size = Math.min(atOnce, Math.max(leastAtOnce, Math.round((size * aimMs) / turn.heldMs)))
    overtaken = turn.next ? 0 : overtaken + 1
    run = turn.next ?? beginRun(await planRetention(db, subject.repositoryId), run)
    if (!turn.made.created) continue
    const { number, revision, removed } = turn.made
    first ??= number
    const before = made ?? { removed: noContent, versions: 0 }
    made = { number, revision, removed: addCounts(before.removed, removed, noContent), versions: before.versions + 1 }
    await onVersion?.(turn.made)
  }
  return { plan: withWent(run), made }
}

/** Says what `applyRetention` would do, all that would go included, and does nothing. Throws 404. */
export async function foreseeRetention(
  db: Database,
  subject: Subject,
): Promise<{ plan: RetentionPlan; changes: VersionDiff | undefined }> {
  await ensureWrittenOut(db, subject.repositoryId)
  const seen = beginRun(await planRetention(db, subject.repositoryId))
  if (isDone(seen)) return { plan: seen.plan, changes: undefined }
  let { plan } = seen
  const changes = await planCuration(db, curationOf(subject), async (sql, edit) => {
    const run = await currentRun(sql, seen)
    await takeAway(sql, edit, run, Number.POSITIVE_INFINITY)
    plan = run.plan
  })
  return { plan, changes }
}

function curationOf({ repositoryId, actor, partOf }: Subject): Curation {
  // What is loose was accepted; it must not go without a version that has it.
  return { repositoryId, actor, partOf, cause: 'remove', foldsFirst: true }
}

/** Takes the next part away, in a transaction. Without `next` the plan no longer holds, and nothing was taken. */
async function takeTurn(
  db: Database,
  subject: Subject,
  run: Run,
  { atOnce, waits }: { atOnce: number; waits: boolean },
): Promise<{ made: MadeVersion; next: Run | undefined; heldMs: number }> {
  let next: Run | undefined
  let lockedAt = 0
  const made = await curate(db, curationOf(subject), async (sql, edit) => {
    lockedAt = performance.now()
    const current = waits ? await stillHolds(sql, run) : await currentRun(sql, run)
    next = current && (await takeAway(sql, edit, current, atOnce))
  })
  const heldMs = performance.now() - lockedAt
  return { made, next: next && made.created ? { ...next, asOf: made.revision } : next, heldMs }
}

/** The run as it is, or a new one of what is there now. The repository is locked, and waits. */
async function currentRun(sql: Sql, run: Run): Promise<Run> {
  return (await stillHolds(sql, run)) ?? beginRun(await planRetention(sql, run.plan.repositoryId), run)
}

async function takeAway(sql: Transaction, edit: Edit, run: Run, atOnce: number): Promise<Run> {
  const tags = run.tags.slice(0, atOnce)
  const manifests = run.manifests.slice(0, Math.max(0, atOnce - tags.length))
  await takeOut(sql, edit, await stillUnwanted(sql, run, tags, manifests), { force: false })
  return {
    ...run,
    tags: run.tags.slice(tags.length),
    manifests: run.manifests.slice(manifests.length),
    gone: new Set([...run.gone, ...tags]),
  }
}

/** Without what went along with something else, and manifests that came into use meanwhile. */
async function stillUnwanted(
  sql: Sql,
  { plan }: Run,
  names: readonly string[],
  digests: readonly Digest[],
): Promise<{ tags: string[]; manifests: Digest[] }> {
  const tags = await sql.query<{ name: string }>(
    'select name from tag_interval where repository_id = $1 and until is null and name = any($2::text[])',
    [plan.repositoryId, names],
  )
  const { untaggedDays } = plan.retention
  const untagged =
    untaggedDays === undefined || digests.length === 0
      ? []
      : await findUntagged(sql, plan.repositoryId, { days: untaggedDays, guarded: plan.guarded, among: digests })
  return {
    tags: tags.map(({ name }) => name),
    manifests: untagged.filter(({ goes }) => goes).map(({ digest }) => digest),
  }
}
