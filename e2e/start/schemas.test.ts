import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { applyMigrations, type Database, openDatabase } from '@berth/service'
import { dumpSchema, makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { schemaParts as auth } from '../../services/auth/src/db/schema-parts.ts'
import { schemaParts as build } from '../../services/build/src/db/schema-parts.ts'
import { schemaParts as catalog } from '../../services/catalog/src/db/schema-parts.ts'
import { schemaParts as registry } from '../../services/registry/src/db/schema-parts.ts'
import { schemaParts as sync } from '../../services/sync/src/db/schema-parts.ts'
import { schemaParts as tasks } from '../../services/tasks/src/db/schema-parts.ts'
import { type Model, readModels, readTables } from './prisma-models.ts'

const release = JSON.parse(readFileSync(new URL('../../deploy/release.json', import.meta.url), 'utf8')) as {
  /** The migrations of each schema. One that a schema lacks there is new to it, also where another had it. */
  migrations: Record<string, string[]>
}

const heading = (schema: string) => `\
-- Schema "${schema}" as its migrations and functions make it, from the system catalogs; to be read and compared, not to be run.
-- BERTH_TEST_WRITE_DOCS=true npm test -- e2e/start/schemas.test.ts writes it.

`

let database: TestDatabase
beforeAll(async () => {
  database = await makeDatabase()
})
afterAll(() => database?.drop())

test('what changes a schema after a release says whether the release before works on with it', () => {
  // docs/decisions/0048
  for (const { name } of migrationsSinceRelease()) expect(name).toMatch(/^\d{14}_(expand|contract)_/)
})

test('what expands a schema changes the type of no column, for the release before has prepared what reads it', () => {
  for (const { name, text } of migrationsSinceRelease())
    if (name.includes('_expand_'))
      expect([name, text]).toEqual([
        name,
        expect.not.stringMatching(/alter\s+(column\s+)?\w+\s+(set\s+data\s+)?type\b/i),
      ])
})

function migrationsSinceRelease(): { name: string; text: string }[] {
  return Object.entries({ auth, build, catalog, registry, sync, tasks }).flatMap(([schema, parts]) =>
    parts.flatMap((part) => {
      const folder = new URL('migrations/', part)
      const names = readdirSync(folder).filter((name) => !release.migrations[schema]?.includes(name))
      return names.map((name) => ({ name, text: readFileSync(new URL(`${name}/migration.sql`, folder), 'utf8') }))
    }),
  )
}

describe.each(Object.entries({ auth, build, catalog, registry, sync, tasks }))('the schema of %s', (schema, parts) => {
  let db: Database
  beforeAll(async () => {
    await applyMigrations({ url: database.url, schema, parts })
    db = openDatabase({ url: database.url, schema })
  })
  afterAll(() => db?.close())

  test('is what its dump says (BERTH_TEST_WRITE_DOCS=true writes it)', async () => {
    const file = new URL(`../../services/${schema}/src/db/dump.sql`, import.meta.url)
    const dump = heading(schema) + (await dumpSchema(db, schema))
    if (process.env.BERTH_TEST_WRITE_DOCS === 'true') writeFileSync(file, dump)
    expect(readFileSync(file, 'utf8')).toBe(dump)
  })

  test('has no index that seems good to find a row of a repository by its key, and reads the whole repository', async () => {
    // While a table is small all its indexes cost the same, and a plan that was made then is kept: ten thousand layers took ten seconds.
    const misleading = await db.query(
      `with index as (
         select indrelid, indexrelid::regclass::text as name, pg_get_expr(indpred, indrelid) as predicate, indisprimary as "isKey",
           array(
             select attname
             from unnest(indkey) with ordinality as at (number, place)
             join pg_attribute on attrelid = indrelid and attnum = number
             order by place) as columns
         from pg_index
         join pg_class on pg_class.oid = indrelid
         where relnamespace = $1::regnamespace)
       select index.name
       from index
       join index as key using (indrelid)
       where key."isKey"
         and key.columns[1] = 'repository_id'
         and index.columns[1] = 'repository_id'
         and index.columns[2] is distinct from key.columns[2]
         and coalesce(index.predicate, '(until IS NULL)') = '(until IS NULL)'`,
      [schema],
    )
    expect(misleading).toEqual([])
  })

  test('has the functions of its files and no others', async () => {
    const files = parts.flatMap((part) => {
      const folder = new URL('functions/', part)
      return existsSync(folder) ? readdirSync(folder).map((name) => new URL(name, folder)) : []
    })
    const made = files.map((file) => {
      const names = [...readFileSync(file, 'utf8').matchAll(/^create or replace function (\w+)/gm)].map(
        ([, name]) => name,
      )
      expect([file.pathname.split('/').at(-1), names]).toEqual([`${names[0]?.replaceAll('_', '-')}.sql`, [names[0]]])
      return names[0]
    })
    const rows = await db.query<{ name: string }>(
      'select proname as name from pg_proc where pronamespace = $1::regnamespace',
      [schema],
    )
    // The figures that it gave are stored, so it is in a migration.
    const known = rows.map(({ name }) => name).filter((name) => name !== 'text_bytes')
    expect(new Set(known)).toEqual(new Set(made))
  })

  test('is what the models of schema.prisma say, as far as they go', async () => {
    const models = readModels(
      readFileSync(new URL(`../../services/${schema}/src/db/schema.prisma`, import.meta.url), 'utf8'),
    )
    const tables = await readTables(db)
    expect(Object.keys(models)).not.toEqual([])
    for (const [name, { types, unique }] of Object.entries(models)) {
      expect(tables).toHaveProperty(name)
      const table = tables[name] as Model
      const modelled = Object.entries(table.types).filter(([column]) => column in types)
      expect({ name, types, unique: unique.sort() }).toEqual({
        name,
        types: Object.fromEntries(modelled),
        unique: table.unique.filter((columns) => columns.split(', ').every((column) => column in types)).sort(),
      })
    }
  })
})
