import { type Digest, parseTagPattern } from '@berth/oci'
import type { Sql } from '@berth/service'
import { revisedBetween } from '../intervals/tables.ts'
import { type RetentionPlan, readBasis } from './plan.ts'

/** A plan that is being carried out: what is still to go of it, and the revision up to which it is known to hold. */
export type Run = {
  plan: RetentionPlan
  asOf: number
  tags: string[]
  manifests: Digest[]
  /** Tags that it has taken away. */
  gone: ReadonlySet<string>
  /** What went by the plans before this one. */
  before: Pick<RetentionPlan, 'tags' | 'untagged'>
}

/** Begins to carry out a plan, perhaps in place of one that was overtaken. */
export function beginRun(plan: RetentionPlan, overtaken?: Run): Run {
  return {
    plan,
    asOf: plan.basis.revision,
    tags: plan.tags.filter(({ goes }) => goes).map(({ tag }) => tag),
    manifests: plan.untagged.filter(({ goes }) => goes).map(({ digest }) => digest),
    gone: new Set(),
    before: overtaken ? wentBy(overtaken) : { tags: [], untagged: [] },
  }
}

export function isDone(run: Run): boolean {
  return run.tags.length === 0 && run.manifests.length === 0
}

/** What the plan of a run says, with what went by those that it followed. */
export function withWent({ plan, before }: Run): RetentionPlan {
  if (before.tags.length === 0 && before.untagged.length === 0) return plan
  const [tags, digests] = [new Set(plan.tags.map(({ tag }) => tag)), new Set(plan.untagged.map(({ digest }) => digest))]
  const byTag = (a: { tag: string }, b: { tag: string }) => (a.tag < b.tag ? -1 : 1)
  return {
    ...plan,
    tags: [...before.tags.filter(({ tag }) => !tags.has(tag)), ...plan.tags].sort(byTag),
    untagged: [...before.untagged.filter(({ digest }) => !digests.has(digest)), ...plan.untagged],
  }
}

function wentBy({ plan, gone, manifests, before }: Run): Run['before'] {
  const left = new Set(manifests)
  return {
    tags: [...before.tags, ...plan.tags.filter(({ tag }) => gone.has(tag))],
    untagged: [...before.untagged, ...plan.untagged.filter(({ goes, digest }) => goes && !left.has(digest))],
  }
}

/**
 * The run, if its plan holds for its repository, which is locked, so that nothing changes from here on. What was pushed
 * meanwhile only makes more go: a tag that is new or was moved comes before the others. But where one of those that are to go
 * was moved, or one that stays was deleted, in whose place another may stay, it has to be judged again; and where the rules, the
 * pins or anything immutable changed.
 */
export async function stillHolds(sql: Sql, run: Run): Promise<Run | undefined> {
  const { revision, ...settings } = await readBasis(sql, run.plan.repositoryId)
  const { revision: _, ...planned } = run.plan.basis
  if (JSON.stringify(settings) !== JSON.stringify(planned)) return undefined
  if (revision === run.asOf) return run
  const changed = await sql.query<{ name: string; isOpen: boolean; isOver: boolean }>(
    `select name, bool_or(until is not null) as "isOver",
       exists (select from tag_interval as open where open.repository_id = $1 and open.name = tag.name and open.until is null) as "isOpen"
     from tag_interval as tag
     where repository_id = $1
       and ${revisedBetween('tag', '$2', '$3')}
     group by name`,
    [run.plan.repositoryId, run.asOf, revision],
  )
  const immutable = settings.immutableTags.map(parseTagPattern)
  // It may be a companion, which keeps what it belongs to.
  if (changed.some(({ name }) => immutable.some((pattern) => pattern.matches(name)))) return undefined
  const ended = changed.filter(({ isOver }) => isOver)
  const [going, known] = [new Set(run.tags), new Set(run.plan.tags.map(({ tag }) => tag))]
  const overtakes = ended.some(({ name, isOpen }) =>
    isOpen ? going.has(name) : known.has(name) && !run.gone.has(name),
  )
  return overtakes ? undefined : { ...run, asOf: revision }
}
