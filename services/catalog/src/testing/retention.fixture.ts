import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { applyRetention, foreseeRetention } from '../retention/apply.ts'
import type { Retention } from '../settings/retention-rules.ts'
import { type Catalog, idOf, pushBlob, pushManifest, startCatalog } from './catalog.fixture.ts'

export let catalog: Catalog

/** Starts the catalog of a test file. */
export async function startRetention(): Promise<void> {
  catalog = await startCatalog()
}

export const setRules = (name: string, retention: Retention, immutableTags: string[] = []) =>
  catalog.db.query('update repository set retention = $2, immutable_tags = $3 where name = $1', [
    name,
    JSON.stringify(retention),
    immutableTags,
  ])

/** Makes it so that version n came (newest - n + 1) days ago, but for half a day, and with it what it opened. */
export async function age(name: string): Promise<void> {
  const id = await idOf(catalog.db, name)
  const at = (number: string) =>
    `now() - make_interval(hours => 24 * (select latest_version - ${number} + 1 from repository where id = $1) - 12)`
  await catalog.db.query(`update version set created_at = ${at('number')} where repository_id = $1`, [id])
  for (const table of ['tag_interval', 'manifest_interval'])
    await catalog.db.query(`update ${table} set opened_at = ${at('since')} where repository_id = $1`, [id])
}

export async function pull(name: string, key: 'name' | 'digest', what: string, daysAgo: number): Promise<void> {
  const table = key === 'name' ? 'tag_pull' : 'manifest_pull'
  await catalog.db.query(
    `insert into ${table} (repository_id, ${key}, pulled_at) values ($1, $2, now() - make_interval(hours => 24 * $3 - 12))
     on conflict (repository_id, ${key}) do update set pulled_at = excluded.pulled_at`,
    [await idOf(catalog.db, name), what, daysAgo],
  )
}

export const pin = async (sql: Sql, name: string, version: number) =>
  sql.query(
    `insert into distribution (name, base_path, repository_id, version, access, created_by) values ($1, $1, $2, $3, 'private', 'ana')`,
    [`pin/${name}`, await idOf(catalog.db, name), version],
  )

export const apply = async (name: string, more: Parameters<typeof applyRetention>[2] = {}) =>
  applyRetention(catalog.db, { repositoryId: await idOf(catalog.db, name), actor: { id: null, name: 'ana' } }, more)
export const foresee = async (name: string) =>
  foreseeRetention(catalog.db, { repositoryId: await idOf(catalog.db, name), actor: { id: null, name: 'ana' } })

let made = 0
export const image = async (name: string, tags: string[], more: { subject?: Digest } = {}) => {
  const label = `${name} ${made++}`
  return pushManifest(
    catalog.db,
    name,
    { name: label, blobs: [await pushBlob(catalog.db, name, label)], ...more },
    tags,
  )
}
