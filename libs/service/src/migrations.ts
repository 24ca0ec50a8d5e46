import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { databaseStartupError, sqlState } from './database.ts'
import { StartupError } from './startup-error.ts'

type Migration = { name: string; sql: string; checksum: string }

/**
 * Brings one schema up to date with a folder of migrations in Prisma's layout (`<time>_<name>/migration.sql`) and notes
 * them in Prisma's own table, so that its tools agree. One transaction a migration, an advisory lock a schema: killed at any
 * point it can be run again, and two that start at once take turns. A schema of a newer release is refused and not touched.
 * (Prisma's own runner needs a binary that a closed network cannot fetch.)
 */
export async function applyMigrations(options: { url: string; schema: string; directory: URL }): Promise<string[]> {
  const migrations = await readMigrations(fileURLToPath(options.directory))
  const client = new pg.Client({
    connectionString: options.url,
    connectionTimeoutMillis: 10_000,
    application_name: 'berth-migrations',
  })
  // A connection that the server ends fails the query under way, which says so; the event alone would end the process.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (cause) {
    throw databaseStartupError(options.url, cause)
  }
  try {
    // Held by this connection alone and gone with it, whatever happens to us.
    await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [`berth migrations ${options.schema}`])
    return await applyMissing(client, options.schema, migrations)
  } finally {
    await client.end()
  }
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return Promise.all(
    names.sort().map(async (name) => {
      const sql = await readFile(join(directory, name, 'migration.sql'), 'utf8')
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    }),
  )
}

async function applyMissing(client: pg.Client, schema: string, migrations: Migration[]): Promise<string[]> {
  try {
    return await applyInOrder(client, schema, migrations)
  } catch (cause) {
    if (sqlState(cause) !== insufficientPrivilege) throw cause
    throw new StartupError(
      `the database user of BERTH_DATABASE_URL may not do what schema "${schema}" needs: ${(cause as Error).message}`,
      'make the user the owner of the database, or: grant create on database … to …; schemas made by another user must be its own too',
      { cause },
    )
  }
}

const insufficientPrivilege = '42501'

async function applyInOrder(client: pg.Client, schema: string, migrations: Migration[]): Promise<string[]> {
  await client.query(`create schema if not exists "${schema}"`)
  await client.query(`set search_path to "${schema}"`)
  await client.query(`create table if not exists _prisma_migrations (
    id varchar(36) primary key, checksum varchar(64) not null, finished_at timestamptz, migration_name varchar(255) not null,
    logs text, rolled_back_at timestamptz, started_at timestamptz not null default now(), applied_steps_count integer not null default 0)`)
  const { rows } = await client.query<{ migration_name: string; checksum: string }>(
    'select migration_name, checksum from _prisma_migrations where finished_at is not null and rolled_back_at is null',
  )
  const applied = new Map(rows.map((row) => [row.migration_name, row.checksum]))
  refuseStrangers(schema, applied, migrations)
  const missing = migrations.filter((migration) => !applied.has(migration.name))
  for (const migration of missing) await applyOne(client, schema, migration)
  return missing.map((migration) => migration.name)
}

function refuseStrangers(schema: string, applied: Map<string, string>, migrations: Migration[]): void {
  const known = new Map(migrations.map((migration) => [migration.name, migration.checksum]))
  const newer = [...applied.keys()].find((name) => !known.has(name))
  if (newer !== undefined) {
    throw new StartupError(
      `the database is of a newer release of Berth: its schema "${schema}" has the migration ${newer}, which this release does not know`,
      'start the newer release, or restore the backup made before the upgrade',
    )
  }
  const changed = [...applied].find(([name, checksum]) => known.get(name) !== checksum)
  if (changed !== undefined) {
    throw new StartupError(
      `migration ${changed[0]} of schema "${schema}" is not the one that was applied to this database`,
      'use an unmodified release of Berth; migrations are never edited once released',
    )
  }
}

async function applyOne(client: pg.Client, schema: string, migration: Migration): Promise<void> {
  try {
    await client.query('begin')
    await client.query(migration.sql)
    await client.query(
      'insert into _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count) values ($1, $2, $3, now(), 1)',
      [randomUUID(), migration.checksum, migration.name],
    )
    await client.query('commit')
  } catch (cause) {
    // Without a connection there is nothing to roll back: the server has done it.
    await client.query('rollback').catch(() => 'gone')
    throw new StartupError(
      `migration ${migration.name} of schema "${schema}" failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      'nothing of it was kept; mend the cause (disk space, rights) and start again',
      { cause },
    )
  }
}
