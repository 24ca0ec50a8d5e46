import type { ManifestRecord } from '@berth/commands'
import { Problem, type Sql } from '@berth/service'

/** How deep indexes may lie in each other (docs/guarantees.md#bombs): who pulls, copies or deletes one goes through all of them. */
const mostLevels = 16

/** Refuses an index in which indexes lie deeper than that. Throws `index_too_deep`. */
export async function checkNesting(sql: Sql, { isIndex, references }: ManifestRecord): Promise<void> {
  if (!isIndex) return
  const children = references.filter(({ role }) => role === 'manifest').map(({ digest }) => digest)
  const [tooDeep] = await sql.prepared(
    'check-nesting',
    `with recursive below (digest, level) as (
       select manifest.digest, 2
       from manifest
       where manifest.digest = any($1::text[])
         and is_index
       union
       select manifest.digest, below.level + 1
       from below
       join manifest_reference as reference on reference.manifest = below.digest and reference.role = 'manifest'
       join manifest on manifest.digest = reference.child and is_index
       where below.level <= $2)
     select
     from below
     where level > $2
     limit 1`,
    [children, mostLevels],
  )
  if (tooDeep)
    throw new Problem(400, 'index_too_deep', `indexes lie in each other more than ${mostLevels} deep`, {
      hint: 'Name the manifests in an index further up.',
    })
}
