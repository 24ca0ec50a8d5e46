import { actorOf, type Database, type Handlers } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { operations } from '../openapi-types.ts'
import { findRepository } from '../repositories/find.ts'
import { applyRetention, foreseeRetention } from '../retention/apply.ts'
import type { TagVerdict } from '../retention/judge-tags.ts'
import type { RetentionPlan } from '../retention/plan.ts'
import type { ServedGate } from '../served/wait-until-served.ts'

// An answer of some twenty megabytes; the counts tell of all.
const listed = 100_000

/** The API of applying the rules of retention by hand. */
export function retentionHandlers(db: Database, prisma: Prisma, gate: ServedGate) {
  return {
    applyRetention: async ({ params, body, principal }) => {
      const { id, latestVersion } = await findRepository(prisma, params.repository)
      const subject = { repositoryId: id, actor: actorOf(principal) }
      const { dryRun = false } = body ?? {}
      if (dryRun) {
        const { plan, changes } = await foreseeRetention(db, subject)
        const version = changes?.from ?? latestVersion
        return {
          status: 200,
          body: { version, created: false, versions: 0, ...showPlan(plan, () => true), changes: changes ?? null },
        }
      }
      const { plan, made } = await applyRetention(db, subject, {
        onVersion: async ({ revision, number }) => {
          await gate.repository(id, revision, number)
        },
      })
      // Also when nothing was left to do: what another run took away may not be served yet.
      const head = await findRepository(prisma, id)
      const { number, revision } = made ?? { number: head.latestVersion, revision: Number(head.revision) }
      await gate.repository(id, revision, number)
      const shown = showPlan(plan, (tag) => tag.goes || tag.reason === 'immutable' || tag.reason === 'pinned')
      const removed = made?.removed ?? null
      const versions = made?.versions ?? 0
      return { status: 200, body: { version: number, created: versions > 0, versions, ...shown, removed } }
    },
  } satisfies Partial<Handlers<operations>>
}

function showPlan(plan: RetentionPlan, isShown: (tag: TagVerdict) => boolean): Record<string, unknown> {
  const { source, retention, tags, untagged } = plan
  const shown = tags.filter(isShown)
  return {
    source,
    rules: (retention.rules ?? []).map((rule, i) => ({ ...rule, ...countsOf(tags.filter((tag) => tag.rule === i)) })),
    counts: { tags: countsOf(tags), untagged: countsOf(untagged) },
    tags: shown.slice(0, listed).map(({ tag, digest, goes, reason, rule, pushedAt, pulledAt }) => ({
      tag,
      digest,
      goes,
      reason,
      rule,
      pushedAt: isoTime(pushedAt),
      lastPulledAt: pulledAt === null ? null : isoTime(pulledAt),
    })),
    untagged: untagged
      .slice(0, listed)
      .map(({ untaggedAt, ...manifest }) => ({ ...manifest, untaggedAt: isoTime(untaggedAt) })),
    complete: shown.length <= listed && untagged.length <= listed,
  }
}

/** How many go and stay, by reason. */
function countsOf(verdicts: readonly { goes: boolean; reason: string }[]) {
  const goes = verdicts.filter((verdict) => verdict.goes).length
  const reasons: Record<string, number> = {}
  for (const { reason } of verdicts) reasons[reason] = (reasons[reason] ?? 0) + 1
  return { goes, stays: verdicts.length - goes, reasons }
}

function isoTime(time: number): string {
  return new Date(time).toISOString()
}
