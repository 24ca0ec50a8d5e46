import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The part of a schema with `text_bytes`, by which the tables of lists say how many bytes an array of texts takes. */
export const textBytesFunction = new URL('./db/', import.meta.url)

/** A piece of SQL that is applied as a whole, known by its name and by what is in it. */
export type Script = { name: string; sql: string; checksum: string }

export type SchemaFiles = { migrations: Script[]; functions: Script[] }

/**
 * Reads the folders that a schema is made of. Each has `migrations/<time>_<name>/migration.sql`, as Prisma lays them out, and may
 * have `functions/<name>.sql`. Both are answered in the order of their names, whatever part they are of.
 */
export async function readSchemaParts(parts: readonly URL[]): Promise<SchemaFiles> {
  const folders = parts.map((part) => fileURLToPath(part))
  const migrations = await Promise.all(folders.map((folder) => readMigrations(join(folder, 'migrations'))))
  const functions = await Promise.all(folders.map((folder) => readFunctions(join(folder, 'functions'))))
  return { migrations: inOrder(migrations.flat()), functions: inOrder(functions.flat()) }
}

async function readMigrations(folder: string): Promise<Script[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return Promise.all(names.map((name) => readScript(name, join(folder, name, 'migration.sql'))))
}

async function readFunctions(folder: string): Promise<Script[]> {
  if (!existsSync(folder)) return []
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql'))
  return Promise.all(names.map((name) => readScript(name.slice(0, -'.sql'.length), join(folder, name))))
}

async function readScript(name: string, file: string): Promise<Script> {
  const sql = await readFile(file, 'utf8')
  return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
}

function inOrder(scripts: readonly Script[]): Script[] {
  const sorted = scripts.toSorted((one, other) => (one.name < other.name ? -1 : 1))
  const twice = sorted.find(({ name }, n) => sorted[n + 1]?.name === name)
  if (twice) throw new Error(`two parts of a schema have a ${twice.name}`)
  return sorted
}
