import pg from 'pg'
import { sqlState } from './database.ts'
import { withClient } from './migration-client.ts'
import { readSchemaParts, type SchemaFiles, type Script } from './schema-parts.ts'
import { StartupError } from './startup-error.ts'

/**
 * Brings one schema up to date with the folders that it is made of (`readSchemaParts`), and answers the names of the migrations
 * that were missing. They are noted in Prisma's own table; its own runner needs a binary that a closed network cannot fetch. One
 * transaction a migration, an advisory lock a schema: killed at any point it can be run again, and two that start at once take
 * turns. Functions whose files have changed are made again in the transaction of the last migration, or in one of their own. The
 * schema of before the first release is refused with a `StartupError` and not touched, and so is that of a newer one, unless all that
 * it has more only adds to it (docs/decisions/0048). With `role` another user may read and change what is in the tables, and no more.
 */
export async function applyMigrations(options: {
  url: string
  schema: string
  parts: readonly URL[]
  role?: string | undefined
}): Promise<string[]> {
  const { schema, role } = options
  const files = await readSchemaParts(options.parts)
  return withClient(options.url, async (client) => {
    // Held by this connection alone and gone with it, whatever happens to us.
    await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [`berth migrations ${schema}`])
    const applied = await applyMissing(client, schema, files)
    if (role !== undefined) await letUse(client, schema, role)
    return applied
  })
}

/** Lets a role use what is in a schema now. Default privileges would hold for what this user makes alone, so it is said again each time. */
async function letUse(client: pg.Client, schema: string, role: string): Promise<void> {
  const place = pg.escapeIdentifier(schema)
  const to = pg.escapeIdentifier(role)
  try {
    await client.query(`
      grant usage on schema ${place} to ${to};
      grant select, insert, update, delete on all tables in schema ${place} to ${to};
      grant usage, select, update on all sequences in schema ${place} to ${to};
      grant execute on all functions in schema ${place} to ${to}`)
  } catch (cause) {
    throw new StartupError(
      `the role ${role} of BERTH_DATABASE_ROLE cannot be given its rights: ${cause instanceof Error ? cause.message : String(cause)}`,
      `make it in PostgreSQL (create role … login), or set the name that the services log in with`,
      { cause },
    )
  }
}

async function applyMissing(client: pg.Client, schema: string, files: SchemaFiles): Promise<string[]> {
  try {
    return await applyInOrder(client, schema, files)
  } catch (cause) {
    if (sqlState(cause) !== insufficientPrivilege) throw cause
    throw new StartupError(
      `the database user of BERTH_DATABASE_URL may not do what schema "${schema}" needs: ${(cause as Error).message}`,
      'make the user the owner of the database, or: grant create on database … to …; schemas made by another user must be its own too',
      { cause },
    )
  }
}

export const insufficientPrivilege = '42501'

async function applyInOrder(client: pg.Client, schema: string, files: SchemaFiles): Promise<string[]> {
  const applied = await readApplied(client, schema)
  // Functions are looked at only then: a program that does not know all migrations must not bring back its own
  // (docs/decisions/0033).
  const isNewer = refuseStrangers(schema, applied, files.migrations)
  await makeNotes(client, schema)
  const missing = files.migrations.filter((migration) => !applied.has(migration.name))
  // Its functions are those of the newer release, which do for this one as well.
  if (isNewer && missing.length === 0) return []
  const last = missing.at(-1)
  // After a migration all are made: it may have changed what they stand on.
  const functions = last ? files.functions : await changedFunctions(client, files.functions)
  for (const migration of missing.slice(0, -1)) await applyTogether(client, schema, [asMigration(migration)])
  await applyTogether(client, schema, [...(last ? [asMigration(last)] : []), ...functions.map(asFunction)])
  return missing.map((migration) => migration.name)
}

/** The checksums of the migrations that a schema has, by their names. Makes nothing. */
export async function readApplied(client: pg.Client, schema: string): Promise<Map<string, string>> {
  const table = `"${schema}"._prisma_migrations`
  const { rows: known } = await client.query<{ exists: boolean }>('select to_regclass($1) is not null as exists', [
    table,
  ])
  if (!known[0]?.exists) return new Map()
  const { rows } = await client.query<{ migration_name: string; checksum: string }>(
    `select migration_name, checksum from ${table} where finished_at is not null and rolled_back_at is null`,
  )
  return new Map(rows.map((row) => [row.migration_name, row.checksum]))
}

/** What only adds to a schema bears this in its name, and an older release works on with it. */
const expanding = /_expand_/

/** Refuses a schema that is not of this release, unless it only has more; answers whether it has. */
export function refuseStrangers(schema: string, applied: Map<string, string>, migrations: Script[]): boolean {
  const known = new Map(migrations.map((migration) => [migration.name, migration.checksum]))
  const strangers = [...applied.keys()].filter((name) => !known.has(name))
  const first = migrations[0]?.name ?? ''
  if (strangers.some((name) => name < first)) {
    throw new StartupError(
      `the database has a schema "${schema}" already: this was made before the first release`,
      'set another BERTH_HOME or database, and an empty store',
    )
  }
  const newer = strangers.find((name) => !expanding.test(name))
  if (newer !== undefined) {
    throw new StartupError(
      `the database is of a newer release of Berth: its schema "${schema}" has the migration ${newer}, which this release does not know`,
      'start the newer release, or restore the backup made before the upgrade',
    )
  }
  const changed = [...applied].find(([name, checksum]) => known.has(name) && known.get(name) !== checksum)
  if (changed !== undefined) {
    throw new StartupError(
      `migration ${changed[0]} of schema "${schema}" is not the one that was applied to this database`,
      'use an unmodified release of Berth; migrations are never edited once released',
    )
  }
  return strangers.length > 0
}

async function makeNotes(client: pg.Client, schema: string): Promise<void> {
  await client.query(`create schema if not exists "${schema}"`)
  await client.query(`set search_path to "${schema}"`)
  await client.query(`create table if not exists _prisma_migrations (
    id varchar(36) primary key,
    checksum varchar(64) not null,
    finished_at timestamptz,
    migration_name varchar(255) not null,
    logs text,
    rolled_back_at timestamptz,
    started_at timestamptz not null default now(),
    applied_steps_count integer not null default 0)`)
  await client.query(`create table if not exists _functions (
    name text primary key,
    checksum text not null,
    made_at timestamptz not null default now())`)
}

async function changedFunctions(client: pg.Client, functions: Script[]): Promise<Script[]> {
  const { rows } = await client.query<{ name: string; checksum: string }>('select name, checksum from _functions')
  const made = new Map(rows.map((row) => [row.name, row.checksum]))
  return functions.filter((one) => made.get(one.name) !== one.checksum)
}

/** A script that is to be run, and the statement that notes it; its values are the name and the checksum. */
type Step = { what: string; script: Script; note: string }

const asMigration = (script: Script): Step => ({
  what: `migration ${script.name}`,
  script,
  note: `
    insert into _prisma_migrations (id, migration_name, checksum, finished_at, applied_steps_count)
    values (gen_random_uuid(), $1, $2, now(), 1)`,
})

const asFunction = (script: Script): Step => ({
  what: `function ${script.name}`,
  script,
  note: `
    insert into _functions (name, checksum)
    values ($1, $2)
    on conflict (name) do update set checksum = excluded.checksum, made_at = now()`,
})

async function applyTogether(client: pg.Client, schema: string, steps: readonly Step[]): Promise<void> {
  let [at] = steps
  if (!at) return
  try {
    await client.query('begin')
    for (at of steps) {
      await client.query(at.script.sql)
      await client.query(at.note, [at.script.name, at.script.checksum])
    }
    await client.query('commit')
  } catch (cause) {
    // Without a connection there is nothing to roll back: the server has done it.
    await client.query('rollback').catch(() => 'gone')
    throw new StartupError(
      `${at.what} of schema "${schema}" failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      'nothing of it was kept; mend the cause (disk space, rights) and start again',
      { cause },
    )
  }
}
