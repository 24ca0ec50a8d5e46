import { chmodSync, copyFileSync, existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { type BlobStore, readStoreIdentity, writeStoreIdentity } from '@berth/blobs'
import { StartupError } from '@berth/service'
import { Client } from 'pg'
import { copyBlobs, findDamage } from './copy-blobs.ts'
import { type Backup, dumpFile, readList, secretsFile } from './place.ts'
import { requireTool, runTool } from './postgres-tools.ts'

type Target = { databaseUrl: string | undefined; blobs: BlobStore; home: string | undefined }
type Restored = { copied: number; known: number; secrets: 'restored' | 'there' | 'elsewhere' }

/**
 * Puts a backup back where Berth does not run: the blobs, then the database, so that one that was interrupted is begun again. Then
 * reads all that the backup names out of the store. Throws `StartupError` where something is that would be lost.
 */
export async function restore(backup: Backup, from: BlobStore, target: Target): Promise<Restored> {
  const { installation } = backup.summary
  const owner = await readStoreIdentity(target.blobs)
  if (owner !== undefined && owner !== installation)
    throw new StartupError(
      'the blob store is of another installation than the backup',
      'name an empty store by BERTH_BLOBS_DIR or BERTH_S3_BUCKET, or the one that was backed up',
    )
  if (target.databaseUrl !== undefined) await requireEmpty(target.databaseUrl)
  const { copied, known, missing } = await copyBlobs(from, target.blobs, readList(backup.folder))
  if (missing.length > 0)
    throw new Error(
      `the backup lacks ${missing.length} of its objects, the first ${missing[0]?.digest}; take another one`,
    )
  if (owner === undefined) await writeStoreIdentity(target.blobs, installation)
  if (target.databaseUrl !== undefined) {
    const dump = path.join(backup.folder, dumpFile)
    await runTool('pg_restore', target.databaseUrl, [
      '--exit-on-error',
      '--single-transaction',
      '--no-owner',
      `--dbname=${new URL(target.databaseUrl).pathname.slice(1)}`,
      dump,
    ])
  }
  // What was there before may be what was damaged.
  const damaged = await findDamage(target.blobs, readList(backup.folder))
  if (damaged.length > 0)
    throw new Error(
      `${damaged.length} objects are damaged in the blob store, the first ${damaged[0]?.digest}; restore into an empty one`,
    )
  // Where the database stayed, so did the keys.
  const secrets = target.databaseUrl === undefined ? 'there' : restoreSecrets(backup, target.home)
  return { copied, known, secrets }
}

/** Throws `StartupError` where the database has tables of Berth: nothing that is there is written over. */
async function requireEmpty(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 })
  await client.connect()
  try {
    const { rows } = await client.query<{ version: number; schemas: string | null }>(
      `select current_setting('server_version_num')::integer / 10000 as version,
         (
           select string_agg(nspname, ', ' order by nspname)
           from pg_namespace
           where nspname in ('auth', 'build', 'catalog', 'registry', 'sync', 'tasks')) as schemas`,
    )
    requireTool('pg_restore', rows[0]?.version ?? 0)
    if (rows[0]?.schemas)
      throw new StartupError(
        `the database has the schemas ${rows[0].schemas} already`,
        'stop Berth, then drop the database and create it anew, or name another one by BERTH_DATABASE_URL',
      )
  } finally {
    await client.end()
  }
}

/** The keys as they were, unless some are there: those may be newer than the backup. */
function restoreSecrets({ folder }: Backup, home: string | undefined): Restored['secrets'] {
  const kept = path.join(folder, secretsFile)
  if (home === undefined || !existsSync(kept)) return 'elsewhere'
  const file = path.join(home, secretsFile)
  if (existsSync(file)) return 'there'
  mkdirSync(home, { recursive: true, mode: 0o700 })
  copyFileSync(kept, file)
  chmodSync(file, 0o600)
  return 'restored'
}
