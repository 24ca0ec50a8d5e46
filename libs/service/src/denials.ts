import type { AuditEntry } from './audit-entry.ts'
import { type Recorded, recordCounts, recordedAs } from './audit-outbox.ts'
import type { Sql } from './sql.ts'

/** What was refused: a request that was denied, or a login that failed. */
export type Denial = AuditEntry & { result: 'denied' | 'login_failed' }

export type Denials = {
  /** Counts one; never throws and never waits. */
  count(denial: Denial): void
  /** Records what was counted since the last time. */
  record(sql: Sql): Promise<void>
}

const mostAtOnce = 100
const mostAnHour = 1_000
const hourMs = 3_600_000

/**
 * Counts what was refused by actor, action and object, so that a row a minute tells of a thousand requests. Names are a stranger's
 * choice: beyond a hundred rows at once, and a thousand an hour, what is left is counted together, by its result alone.
 */
export function createDenials(now: () => number = Date.now): Denials {
  let counted = new Map<string, Recorded>()
  let hour = { startedAt: now(), rows: 0 }

  const add = (key: string, entry: Recorded) => {
    const known = counted.get(key)
    if (!known) counted.set(key, entry)
    else known.count += entry.count
  }
  const put = (entry: Recorded) => {
    const { actor, action, object, detail, result } = entry
    const key = JSON.stringify([actor.id ?? actor.name, action, object.kind, object.name ?? object.id, detail, result])
    if (counted.has(key)) return add(key, entry)
    if (now() - hour.startedAt > hourMs) hour = { startedAt: now(), rows: 0 }
    if (counted.size >= mostAtOnce || hour.rows >= mostAnHour) return add(result, allOthers(entry))
    hour.rows += 1
    add(key, entry)
  }

  return {
    count: ({ result, ...entry }) => put(recordedAs(entry, result)),
    record: async (sql) => {
      const taken = counted
      counted = new Map()
      try {
        await recordCounts(sql, [...taken.values()])
      } catch (error) {
        for (const entry of taken.values()) put(entry)
        throw error
      }
    },
  }
}

/** Stands for all that would be too many rows. */
function allOthers(entry: Recorded): Recorded {
  return {
    ...entry,
    action: 'others',
    actor: { id: null, name: 'others' },
    object: { kind: 'others', id: null, name: null },
    detail: null,
    address: null,
    namespace: null,
  }
}
