import type { Database } from '@berth/service'

/** A table as `schema.prisma` or the database has it: the types of its columns, and the columns that name one row. */
export type Model = { types: Record<string, string>; unique: string[] }

/** The models of a `schema.prisma`, by the tables that they stand for. Relations, which are no columns, are left out. */
export function readModels(text: string): Record<string, Model> {
  const blocks = [...text.matchAll(/^model (\w+) \{\n([\s\S]*?)^\}/gm)]
  const names = new Set(blocks.map(([, name]) => name))
  return Object.fromEntries(
    blocks.map(([, , body]) => {
      const lines = (body as string).split('\n').map((line) => line.trim())
      const fields = lines.flatMap((line) => readField(line, names))
      const columns = new Map(fields.map(({ field, column }) => [field, column]))
      const table = /@@map\("(\w+)"\)/.exec(body as string)?.[1] as string
      const together = lines.flatMap((line) => /^@@(?:id|unique)\(\[(.*)\]\)/.exec(line)?.[1] ?? [])
      const unique = [
        ...fields.filter(({ isUnique }) => isUnique).map(({ column }) => column),
        ...together.map((list) =>
          list
            .split(', ')
            .map((field) => columns.get(field))
            .join(', '),
        ),
      ]
      return [table, { types: Object.fromEntries(fields.map(({ column, type }) => [column, type])), unique }]
    }),
  )
}

function readField(line: string, models: ReadonlySet<string | undefined>) {
  const [, field, type, mark = '', attributes = ''] = /^(\w+)\s+(\w+)(\[\]|\?)?(.*)$/.exec(line) ?? []
  if (!field || models.has(type)) return []
  const column = / @map\("(\w+)"\)/.exec(attributes)?.[1] ?? field
  const native = / @db\.(\w+)/.exec(attributes)?.[1]
  return [
    { field, column, type: type + mark + (native ? ` ${native}` : ''), isUnique: / @(id|unique)\b/.test(attributes) },
  ]
}

/** The same of the tables that the database has. */
export async function readTables(db: Database): Promise<Record<string, Model>> {
  const columns = await db.query<{ table: string; column: string; type: string; isNullable: boolean }>(columnsOf, [
    db.schema,
  ])
  const keys = await db.query<{ table: string; columns: string }>(keysOf, [db.schema])
  return Object.fromEntries(
    Map.groupBy(columns, ({ table }) => table)
      .entries()
      .map(([table, own]) => [
        table,
        {
          types: Object.fromEntries(own.map(({ column, type, isNullable }) => [column, prismaType(type, isNullable)])),
          unique: keys.filter((key) => key.table === table).map((key) => key.columns),
        },
      ]),
  )
}

// A generated column is never null, although it may not be declared so.
const columnsOf = `
  select table_name as table, column_name as column, udt_name as type,
    is_nullable = 'YES' and is_generated = 'NEVER' as "isNullable"
  from information_schema.columns
  where table_schema = $1`

const keysOf = `
  select relname as table, (
      select string_agg(attname, ', ' order by place)
      from unnest(conkey) with ordinality as key (attnum, place)
      join pg_attribute using (attnum)
      where attrelid = conrelid) as columns
  from pg_constraint
  join pg_class on pg_class.oid = conrelid
  where connamespace = $1::regnamespace
    and contype in ('p', 'u')`

const prismaTypes: Record<string, string> = {
  uuid: 'String Uuid',
  text: 'String',
  int4: 'Int',
  int8: 'BigInt',
  float8: 'Float',
  bool: 'Boolean',
  timestamptz: 'DateTime Timestamptz',
  jsonb: 'Json',
  bytea: 'Bytes',
}

function prismaType(type: string, isNullable: boolean): string {
  if (type.startsWith('_')) return `${prismaTypes[type.slice(1)]}[]`
  const [word, native] = prismaTypes[type]?.split(' ') ?? [`no type for ${type}`]
  return word + (isNullable ? '?' : '') + (native ? ` ${native}` : '')
}
