import type { CatalogCommands } from '@berth/commands'
import type { Database } from '@berth/service'

type Request = CatalogCommands['record-pulls']['request']

// In the order of their keys, so that batches of two registries never wait for each other in a circle. A time never goes
// back, and no registry's clock sets one that has not come yet. What a repository that is gone was pulled for is forgotten.
const keep = (table: string, key: string, field: string) =>
  `insert into ${table} (repository_id, ${key}, pulled_at)
   select repository.id, pull.${field}, least(max(to_timestamp(pull.at / 1000.0)), now())
   from jsonb_to_recordset($1::jsonb) as pull ("repositoryId" uuid, ${field} text, at double precision)
   join repository on repository.id = pull."repositoryId"
   where pull.${field} is not null
   group by repository.id, pull.${field}
   order by repository.id, pull.${field}
   on conflict (repository_id, ${key}) do update set pulled_at = excluded.pulled_at
   where ${table}.pulled_at < excluded.pulled_at`
const queries = { tags: keep('tag_pull', 'name', 'tag'), manifests: keep('manifest_pull', 'digest', 'digest') }

/** Keeps when tags and manifests were pulled last. Doing it twice is doing it once. */
export async function recordPulls(db: Database, { pulls }: Request): Promise<void> {
  const values = [JSON.stringify(pulls)]
  await db.transaction(async (sql) => {
    await sql.prepared('record-tag-pulls', queries.tags, values)
    await sql.prepared('record-manifest-pulls', queries.manifests, values)
  })
}
