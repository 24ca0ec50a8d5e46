import { type Rights, toSql } from '@berth/access'
import { fitPage, notFound, type PageRequest, type Sql, selectedColumns } from '@berth/service'
import { heldByAny } from '../intervals/held.ts'
import { type LabelSelector, selectorCondition } from '../settings/label-selector.ts'
import { defaultNamespace, type NamespaceSettings, namespaceColumns } from './settings.ts'

/** A namespace: without an id nothing is set about it, and it is there because of its repositories. */
export type Namespace = NamespaceSettings & {
  id: string | null
  name: string
  createdAt: Date | null
  createdBy: string | null
  createdById: string | null
}

const columns = `
  namespace.id, names.name, ${selectedColumns(namespaceColumns)}, created_at as "createdAt", created_by as "createdBy",
  created_by_id as "createdById"`

/** Finds a namespace by name, or by the id of its settings. Throws 404. */
export async function findNamespace(sql: Sql, idOrName: string): Promise<Namespace> {
  const [row] = await sql.query<Row>(
    `select ${columns}
     from (select coalesce((select name from namespace where id::text = $1), $1) as name) as names
     left join namespace on namespace.name = names.name
     where namespace.id is not null or exists (select from repository where split_part(repository.name, '/', 1) = names.name)`,
    [idOrName],
  )
  if (!row) throw notFound('namespace', idOrName)
  return withDefaults(row)
}

type Row = { [Key in keyof Namespace]: Namespace[Key] | null } & { name: string }

function withDefaults(row: Row): Namespace {
  return {
    ...row,
    defaultAccess: row.defaultAccess ?? defaultNamespace.defaultAccess,
    labels: row.labels ?? defaultNamespace.labels,
    auditPulls: row.auditPulls ?? defaultNamespace.auditPulls,
    buildEgress: row.buildEgress ?? defaultNamespace.buildEgress,
  }
}

/** The namespaces of which each pull is listed. */
export async function namespacesWithAuditedPulls(sql: Sql): Promise<string[]> {
  const rows = await sql.query<{ name: string }>('select name from namespace where audit_pulls')
  return rows.map(({ name }) => name)
}

/** Whether builds into a namespace may have a network. */
export async function mayBuildWithEgress(sql: Sql, name: string): Promise<boolean> {
  const [row] = await sql.query('select from namespace where name = $1 and build_egress', [name])
  return row !== undefined
}

// Goes from one first segment to the next by the index, however many repositories lie between.
const implicitNames = `
  with recursive segment (name) as (
    (
      select split_part(name, '/', 1)
      from repository
      where split_part(name, '/', 1) > $1
      order by split_part(name, '/', 1)
      limit 1)
    union all
    select (
      select split_part(repository.name, '/', 1)
      from repository
      where split_part(repository.name, '/', 1) > segment.name
      order by split_part(repository.name, '/', 1)
      limit 1)
    from segment
    where segment.name is not null)
  select name
  from segment
  where name is not null`

/** The names of all namespaces. */
export async function listNamespaceNames(sql: Sql): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    `select name
     from (${implicitNames}) as implicit
     union
     select name
     from namespace`,
    [''],
  )
  return rows.map(({ name }) => name)
}

/** A page of namespaces by name. Labels are those that are set: one without any has none. */
export async function namespacePage(
  sql: Sql,
  page: PageRequest,
  filter: { rights: Rights; q: string | undefined; labels: LabelSelector | undefined },
): Promise<{ rows: Namespace[]; page: PageRequest }> {
  const values: unknown[] = [page.after ?? '', page.limit + 1]
  const places = { name: 'names.name', id: 'namespace.id' }
  const readable = toSql(filter.rights, 'read', 'namespace', places, values.length + 1)
  values.push(...readable.values)
  const conditions = ['names.name > $1', readable.condition]
  if (filter.q !== undefined) conditions.push(`position($${values.push(filter.q)} in names.name) > 0`)
  if (filter.labels) conditions.push(selectorCondition(`coalesce(namespace.labels, '{}')`, filter.labels, values))
  const keys = await sql.query<{ name: string; listedBytes: number }>(
    `select names.name, coalesce(listed_bytes, 500) as "listedBytes"
     from (
       select name
       from (${implicitNames}) as implicit
       union
       select name
       from namespace) as names
     left join namespace on namespace.name = names.name
     where ${conditions.join(' and ')}
     order by names.name
     limit $2`,
    values,
  )
  const fitting = fitPage(keys, page)
  const rows = await sql.query<Row>(
    `select ${columns}
     from unnest($1::text[]) with ordinality as names (name, place)
     left join namespace on namespace.name = names.name
     order by place`,
    [fitting.rows.map(({ name }) => name)],
  )
  return { rows: rows.map(withDefaults), page: fitting.page }
}

/** What lies in a namespace. `uniqueBytes` counts each blob and manifest once, however many repositories and versions have it. */
export type NamespaceUsage = { repositories: number; tags: number; uniqueBytes: number }

export async function usageOf(sql: Sql, name: string): Promise<NamespaceUsage> {
  const [row] = await sql.query<NamespaceUsage>(
    `with member as (select id from repository where split_part(name, '/', 1) = $1)
     select (select count(*) from member) as repositories,
       (select count(*) from tag_interval where until is null and repository_id in (select id from member)) as tags,
       (
         select coalesce(sum(size_bytes), 0)::bigint
         from blob
         where digest in (${heldDigests('select id from member')})) as "uniqueBytes"`,
    [name],
  )
  return row ?? { repositories: 0, tags: 0, uniqueBytes: 0 }
}

/** The digests that repositories hold: in any of their versions, loose, or linked for a manifest to come. */
function heldDigests(repositoryIds: string): string {
  const inIntervals = (table: string) =>
    `select digest from ${table} as held where repository_id in (${repositoryIds}) and ${heldByAny('held')}`
  return `
    ${inIntervals('blob_interval')}
    union ${inIntervals('manifest_interval')}
    union select digest from blob_link where repository_id in (${repositoryIds}) and linked`
}
