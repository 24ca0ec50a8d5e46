import type { Database } from '@berth/service'
import { isKept } from '../leases/kept-links.ts'
import { holds, roots } from './roots.ts'

/** What would go: `due` when a run of now would remove it, else at `goesAt`. */
type PlannedItem = {
  digest: string
  bytes: number
  /** `unreferenced`: nothing needs it. `unfinished`: it was announced and never written. */
  reason: 'unreferenced' | 'unfinished'
  candidateSince: string | null
  goesAt: string
  due: boolean
}
export type Plan = {
  dryRun: true
  candidates: number
  bytes: number
  due: number
  dueBytes: number
  /** The first thousand, by digest. */
  items: PlannedItem[]
}

const listed = 1_000

// A run takes away links that no manifest came for before it looks, so they keep nothing here either.
const needs = {
  ...roots,
  link: `exists (
    select
    from blob_link as link
    where link.digest = blob.digest
      and link.linked
      and (link.linked_at > now() - make_interval(secs => $1) or ${isKept('link')}))`,
}

const planQuery = `
  with recursive needed (digest) as (
    select digest
    from blob
    where ${Object.values(needs).join(' or ')}
    union
    select reference.child
    from needed
    join manifest_reference as reference on reference.manifest = needed.digest and ${holds('reference')}),
  candidate as (
    select digest, case state when 'remote' then 0 else coalesce(size_bytes, 0) end as bytes,
      case state when 'writing' then 'unfinished' else 'unreferenced' end as reason, candidate_since,
      coalesce(candidate_since, now()) + make_interval(secs => $1) as goes_at
    from blob
    where state <> 'removing'
      and not exists (select from needed where needed.digest = blob.digest))
  select count(*) as candidates, coalesce(sum(bytes), 0)::bigint as bytes, count(*) filter (where goes_at <= now()) as due,
    coalesce(sum(bytes) filter (where goes_at <= now()), 0)::bigint as "dueBytes",
    coalesce((
      select json_agg(
        json_build_object(
          'digest', digest, 'bytes', bytes, 'reason', reason, 'candidateSince', candidate_since, 'goesAt', goes_at,
          'due', goes_at <= now())
        order by digest)
      from (
        select *
        from candidate
        order by digest
        limit $2) as first), '[]') as items
  from candidate`

/**
 * Says what the collector would remove, in a transaction in which PostgreSQL lets nothing be written (docs/guarantees.md, G10).
 * What only a listing of the store finds is no part of it.
 */
export async function planCollection(db: Database, graceSeconds: number): Promise<Plan> {
  const work = async (sql: Pick<Database, 'query'>) => {
    const [plan] = await sql.query<Omit<Plan, 'dryRun'>>(planQuery, [graceSeconds, listed])
    if (!plan) throw new Error('PostgreSQL gave no answer to a sum')
    return { dryRun: true as const, ...plan }
  }
  return db.transaction(work, { isolation: 'repeatable read read only' })
}
