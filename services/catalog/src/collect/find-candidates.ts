import type { Database } from '@berth/service'
import { isNamedByKept, isRooted, lookUpByIndex } from './roots.ts'

const pageRows = 1_000
// An index of indexes of images has four levels; what lies deeper is found by the next run.
const mostLevels = 8

type Page = { last: string | null; seen: number; found: string[] }

// `skip locked`: a row that is locked is in use just now, and a collector that never waits is never part of a deadlock.
const judge = (page: string) => `
  with page as (${page}),
  judged as (
    select blob.digest, not (${isRooted} or ${isNamedByKept}) as unneeded
    from page
    join blob using (digest)
    where blob.state <> 'removing'),
  locked as (
    select blob.digest, judged.unneeded
    from blob
    join judged using (digest)
    where (blob.candidate_since is not null) <> judged.unneeded
    order by blob.digest
    for no key update of blob skip locked),
  changed as (
    update blob
    set candidate_since = case when locked.unneeded then now() end
    from locked
    where blob.digest = locked.digest
    returning blob.digest, locked.unneeded)
  select (select max(digest) from page) as last, (select count(*) from page) as seen,
    coalesce((select array_agg(digest) from changed where unneeded), '{}') as found`

const judgePage = judge(`
  select digest
  from blob
  where digest > $1
  order by digest
  limit $2`)
const judgeChildren = judge(
  // Materialized, or all references of the store are gone through in the order of their children.
  `with named as materialized (select child from manifest_reference where manifest = any($1::text[]))
   select distinct child as digest
   from named
   where child > $2
   order by child
   limit $3`,
)

/**
 * Goes through all blobs and notes since when nothing needs each, or that something needs it again. What only candidates name
 * is one too, level by level, so that a whole image has waited its time at once. Answers how many were looked at.
 */
export async function findCandidates(db: Database, signal: AbortSignal): Promise<number> {
  let seen = 0
  for (let after: string | null = ''; after !== null; ) {
    signal.throwIfAborted()
    const page: Page = await readPage(db, judgePage, [after, pageRows])
    seen += page.seen
    after = page.last
    await judgeBelow(db, page.found)
  }
  return seen
}

async function judgeBelow(db: Database, manifests: readonly string[]): Promise<void> {
  let level = manifests
  for (let depth = 0; depth < mostLevels && level.length > 0; depth++) {
    const found: string[] = []
    for (let after: string | null = ''; after !== null; ) {
      const page: Page = await readPage(db, judgeChildren, [level, after, pageRows])
      found.push(...page.found)
      after = page.last
    }
    level = found
  }
}

async function readPage(db: Database, query: string, values: unknown[]): Promise<Page> {
  const page = await db.transaction(async (sql) => {
    await lookUpByIndex(sql)
    return (await sql.query<Page>(query, values))[0]
  })
  return page ?? { last: null, seen: 0, found: [] }
}
