import type { Database } from '@berth/service'

const pageRows = 1_000
// Longer than catalog tells of a deletion, or it would be heard of again and again; and than any message is late.
const goneDays = 14
const intervalTables = ['served_tag', 'served_manifest', 'served_blob', 'served_signature']
const factTables = [
  { facts: 'blob_facts', holders: ['served_blob', 'served_link'] },
  { facts: 'manifest_facts', holders: ['served_manifest'] },
]

/**
 * Deletes what the model keeps of content that is served nowhere any more: intervals without a version, and their facts; and
 * the names of what is gone, after a while.
 */
export async function pruneModel(db: Database): Promise<void> {
  for (const table of intervalTables) await db.query(`delete from ${table} where until <= since`)
  await db.query('delete from gone_distribution where gone_at < now() - make_interval(days => $1)', [goneDays])
  for (const { facts, holders } of factTables) {
    const isHeld = holders
      .map((table) => `exists (select from ${table} where ${table}.digest = fact.digest)`)
      .join(' or ')
    for (let after: string | null = ''; after !== null; ) after = await pruneFacts(db, facts, isHeld, after)
  }
}

/** Goes on after a digest; answers where it stopped, or null at the end. */
async function pruneFacts(db: Database, facts: string, isHeld: string, after: string): Promise<string | null> {
  return db.transaction(async (sql) => {
    const [page] = await sql.query<{ last: string | null; unheld: string[] }>(
      `with page as (
         select digest
         from ${facts}
         where digest > $1
         order by digest
         limit $2)
       select max(digest) as last, coalesce(array_agg(digest order by digest) filter (where not (${isHeld})), '{}') as unheld
       from page as fact`,
      [after, pageRows],
    )
    if (!page) return null
    // A change that brings rows which need a fact writes the fact first, which takes its row: so it is looked at again with the
    // row held.
    const held = await sql.query<{ digest: string }>(
      `select digest
       from ${facts}
       where digest = any($1::text[])
       order by digest
       for update skip locked`,
      [page.unheld],
    )
    await sql.query(`delete from ${facts} as fact where digest = any($1::text[]) and not (${isHeld})`, [
      held.map((row) => row.digest),
    ])
    return page.last
  })
}
