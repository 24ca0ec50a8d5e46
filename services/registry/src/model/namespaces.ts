import { type CloudEvent, catalogEvents, typeOf } from '@berth/bus'
import type { Sql } from '@berth/service'

/** Notes that there is such a namespace, so that no name in it is looked for elsewhere (docs/decisions/0038). */
export async function noteNamespace(sql: Sql, name: string): Promise<void> {
  // Written where it is known too: a comparison under way, whose list may be from before, sees by it that this one stays.
  await sql.prepared(
    'note-namespace',
    'insert into namespace (name) values ($1) on conflict (name) do update set name = excluded.name',
    [name],
  )
}

/** Notes the namespace of a repository. */
export async function noteNamespaceOf(sql: Sql, repositoryName: string): Promise<void> {
  await noteNamespace(sql, repositoryName.split('/', 1)[0] ?? repositoryName)
}

/** Notes the namespace that an event of catalog tells of: also where the call was lost that should have. Answers whether it tells of one. */
export async function noteAnnounced(sql: Sql, { type, data }: Pick<CloudEvent, 'type' | 'data'>): Promise<boolean> {
  const { name } = data as { name: string }
  if (type === typeOf(catalogEvents.namespaceCreated)) await noteNamespace(sql, name)
  else if (type === typeOf(catalogEvents.repositoryCreated)) await noteNamespaceOf(sql, name)
  else return false
  return true
}

/** Namespaces by name, each with what wrote it last. */
export type KnownNamespaces = ReadonlyMap<string, string>

export async function readNamespaces(sql: Sql): Promise<KnownNamespaces> {
  const rows = await sql.query<{ name: string; written: string }>('select name, xmin::text as written from namespace')
  return new Map(rows.map(({ name, written }) => [name, written]))
}

/**
 * Takes over all that there are. What was `known` before they were listed, and is not among them, is no more, unless it was noted
 * again since.
 */
export async function compareNamespaces(sql: Sql, known: KnownNamespaces, told: ReadonlySet<string>): Promise<void> {
  const fresh = [...told].filter((name) => !known.has(name))
  const gone = [...known].filter(([name]) => !told.has(name))
  if (fresh.length > 0)
    await sql.query('insert into namespace (name) select unnest($1::text[]) on conflict (name) do nothing', [fresh])
  if (gone.length > 0)
    await sql.query(
      `delete from namespace
       using unnest($1::text[], $2::text[]) as gone (name, written)
       where namespace.name = gone.name
         and namespace.xmin::text = gone.written`,
      [gone.map(([name]) => name), gone.map(([, written]) => written)],
    )
}
