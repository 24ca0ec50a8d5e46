import { copyFileSync, existsSync, rmSync } from 'node:fs'
import path from 'node:path'
import { type BlobStore, readStoreIdentity, writeStoreIdentity } from '@berth/blobs'
import type { Digest } from '@berth/oci'
import { StartupError, version } from '@berth/service'
import { Client } from 'pg'
import { copyBlobs } from './copy-blobs.ts'
import {
  type BackupPlace,
  beginBackup,
  dumpFile,
  endBackup,
  foldersWithList,
  type Listed,
  readList,
  removeOlder,
  type Summary,
  secretsFile,
  writeList,
} from './place.ts'
import { requireTool, runTool } from './postgres-tools.ts'

type Source = { databaseUrl: string; blobs: BlobStore; home: string | undefined }
type Row = { digest: Digest; generation: number; sizeBytes: string; isCandidate: boolean }

/**
 * Makes a backup while Berth runs. The database first, then the blobs that it names: those are there until a day after nothing needs
 * them, so what was acknowledged before the database was dumped is all there (docs/how-to/backup.md).
 */
export async function makeBackup(
  source: Source,
  place: BackupPlace,
  target: BlobStore,
): Promise<Summary & { name: string; hasKeys: boolean }> {
  const startedAt = new Date()
  const installation = await readStoreIdentity(source.blobs)
  if (installation === undefined)
    throw new StartupError(
      'the blob store is of no installation yet',
      'set BERTH_BLOBS_DIR or BERTH_S3_* to those of the Berth that is to be backed up, which has to have been started once',
    )
  await refuseOther(target, installation)
  const begun = beginBackup(place, startedAt)
  try {
    const summary = await fill(source, target, { ...begun, startedAt, installation })
    return { name: begun.name, hasKeys: existsSync(path.join(begun.folder, secretsFile)), ...summary }
  } catch (error) {
    // What was copied of the blobs stays for the next one.
    rmSync(begun.folder, { recursive: true })
    throw error
  }
}

type Begun = { folder: string; startedAt: Date; installation: string }

async function fill(source: Source, target: BlobStore, { folder, startedAt, installation }: Begun): Promise<Summary> {
  const secrets = source.home && path.join(source.home, secretsFile)
  if (secrets && existsSync(secrets)) copyFileSync(secrets, path.join(folder, secretsFile))
  const objects = await dumpDatabase(source.databaseUrl, folder)
  writeList(folder, objects)
  const { missing } = await copyBlobs(source.blobs, target, readList(folder))
  const lost = missing.filter(({ isCandidate }) => !isCandidate)
  if (lost.length > 0)
    throw new Error(
      `${lost.length} objects that the database names are not in the blob store, the first ${lost[0]?.digest}; a scrub of Berth says which`,
    )
  const gone = new Set(missing.map(({ digest }) => digest))
  const held = objects.filter(({ digest }) => !gone.has(digest))
  writeList(folder, held)
  const summary: Summary = {
    format: 1,
    version,
    startedAt: startedAt.toISOString(),
    finishedAt: new Date().toISOString(),
    installation,
    objects: held.length,
    bytes: held.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    gone: missing.length,
  }
  endBackup(folder, summary)
  return summary
}

/** Backups of two installations in one place would be mixed up when one of them is restored. */
async function refuseOther(target: BlobStore, installation: string): Promise<void> {
  const other = await readStoreIdentity(target)
  if (other === undefined) await writeStoreIdentity(target, installation)
  else if (other !== installation)
    throw new StartupError('the backups there are of another installation', 'name another folder')
}

/** Dumps the database, and reads which objects it names in the same moment. */
async function dumpDatabase(databaseUrl: string, folder: string): Promise<Listed[]> {
  const client = new Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 })
  await client.connect()
  try {
    const server = await client.query<{ version: number }>(
      `select current_setting('server_version_num')::integer / 10000 as version`,
    )
    requireTool('pg_dump', server.rows[0]?.version ?? 0)
    await client.query('begin isolation level repeatable read read only')
    const snapshot = await client.query<{ id: string }>('select pg_export_snapshot() as id')
    const { rows } = await client.query<Row>(
      `select digest, generation, size_bytes as "sizeBytes", candidate_since is not null as "isCandidate"
       from catalog.blob
       where state = 'present'
       order by digest`,
    )
    const file = path.join(folder, dumpFile)
    await runTool('pg_dump', databaseUrl, ['--format=custom', `--file=${file}`, `--snapshot=${snapshot.rows[0]?.id}`])
    return rows.map(({ sizeBytes, ...row }) => ({ ...row, sizeBytes: Number(sizeBytes) }))
  } finally {
    await client.end()
  }
}

/** Removes all but the last backups, and the blobs that none of those names. Answers what went. */
export async function prune(
  place: BackupPlace,
  target: BlobStore,
  kept: number,
): Promise<{ backups: string[]; objects: number }> {
  const backups = removeOlder(place, kept)
  const needed = new Set<string>()
  for (const folder of foldersWithList(place))
    for await (const { digest, generation } of readList(folder)) needed.add(`${digest} ${generation}`)
  let objects = 0
  for await (const key of target.walk())
    if (!needed.has(`${key.digest} ${key.generation}`) && (await target.remove(key))) objects++
  return { backups, objects }
}
