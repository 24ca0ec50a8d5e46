import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import type { Archive } from '../archives/archive.ts'
import type { BroughtRepository, Contents } from '../archives/brought.ts'
import { namespaceOf, recountIfStale, sayExceeded } from '../namespaces/quota.ts'
import { carriedBatches, createSeen } from './carried.ts'
import type { Conflict } from './target-state.ts'

/** What goes to where, as far as it would be put there. */
export type Bringing = { brought: BroughtRepository; target: string }

/**
 * Which repositories would exceed the quota of their namespace if one after the other got what is brought, as their commits would say in
 * the end. Each digest counts once in a namespace.
 */
export async function findExceeded(
  db: Database,
  { archive }: Pick<Contents, 'archive'>,
  bringing: readonly Bringing[],
  signal?: AbortSignal,
): Promise<Map<string, Conflict>> {
  const byNamespace = Map.groupBy(bringing, ({ target }) => namespaceOf(target))
  const limited = await db.query<{ name: string }>(
    'select name from namespace where quota_bytes is not null and name = any($1::text[])',
    [[...byNamespace.keys()]],
  )
  const exceeded = new Map<string, Conflict>()
  for (const { name } of limited) {
    const wanted = { name, archive, bringing: byNamespace.get(name) ?? [] }
    let found = await findFirst(db, wanted, signal)
    // What is counted may be more than what is held.
    if (found && (await recountIfStale(db, name))) found = await findFirst(db, wanted, signal)
    if (found) exceeded.set(found.target, found.conflict)
  }
  return exceeded
}

type Wanted = { name: string; archive: Archive; bringing: readonly Bringing[] }

/** The first repository of a namespace that would exceed its quota. */
async function findFirst(
  db: Database,
  { name, archive, bringing }: Wanted,
  signal: AbortSignal | undefined,
): Promise<{ target: string; conflict: Conflict } | undefined> {
  const [quota] = await db.query<{ id: string; usedBytes: number; quotaBytes: number }>(
    'select id, used_bytes as "usedBytes", quota_bytes as "quotaBytes" from namespace where name = $1',
    [name],
  )
  if (!quota) return undefined
  const { id, usedBytes, quotaBytes } = quota
  const counted = createSeen(archive)
  let wantedBytes = 0
  for (const { brought, target } of bringing) {
    const before = wantedBytes
    for await (const batch of carriedBatches(brought, signal)) {
      const fresh = await notCounted(db, id, [...batch.keys()].filter(counted))
      for (const digest of fresh) wantedBytes += batch.get(digest) ?? 0
    }
    if (wantedBytes === before || usedBytes + wantedBytes <= quotaBytes) continue
    const message = sayExceeded({ namespace: name, quotaBytes, usedBytes, wantedBytes })
    return { target, conflict: { code: 'quota_exceeded', message } }
  }
  return undefined
}

async function notCounted(db: Database, namespaceId: string, digests: readonly Digest[]): Promise<Digest[]> {
  const rows = await db.query<{ digest: Digest }>(
    `select wanted.digest
     from unnest($2::text[]) as wanted (digest)
     where not exists (
       select
       from namespace_blob as counted
       where counted.namespace_id = $1
         and counted.digest = wanted.digest)`,
    [namespaceId, digests],
  )
  return rows.map(({ digest }) => digest)
}
