import type { BlobStat, BlobStore } from '@berth/blobs'
import { catalogEvents, recordEvents } from '@berth/bus'
import type { Digest } from '@berth/oci'
import type { Database, Sql } from '@berth/service'
import { touchRows } from '../intervals/write-rows.ts'
import { nextRevision } from '../versions/locked-repository.ts'
import { lockRepository } from '../versions/repository-lock.ts'

type Stored = { digest: Digest; generation: number; sizeBytes: number }

/**
 * Notes that bytes are missing or rotten: from then on they are to be written, not present, so a push or a sync that has them
 * brings them back, and no manifest that names them is accepted before. What is rotten is deleted, so that it is never served,
 * and comes back under the next generation. All of it happens with the row held, and only if the object is still the one that
 * was read: a push of it meanwhile has healed it. Answers whether it was noted.
 */
export async function noteDamage(
  db: Database,
  blobs: BlobStore,
  { digest, generation }: Stored,
  { found, stat }: { found: 'missing' | 'rotten'; stat: BlobStat | undefined },
): Promise<boolean> {
  return db.transaction(async (sql) => {
    const [held] = await sql.query(
      `select
       from blob
       where digest = $1
         and generation = $2
         and state = 'present'
       for update`,
      [digest, generation],
    )
    if (!held) return false
    const now = await blobs.stat({ digest, generation })
    if (now?.sizeBytes !== stat?.sizeBytes || now?.modifiedAt.getTime() !== stat?.modifiedAt.getTime()) return false
    if (found === 'rotten') await blobs.remove({ digest, generation })
    await sql.query(
      `update blob
       set
         state = 'writing',
         damage = $2,
         generation = case $2 when 'rotten' then nextval('blob_generation') else generation end
       where digest = $1`,
      [digest, found],
    )
    await recordEvents(sql, [{ kind: catalogEvents.blobDamaged, data: { digest, damage: found } }])
    return true
  })
}

/** Notes that what was missing is there again, whole. */
export async function noteFound(db: Database, { digest, generation }: Stored): Promise<void> {
  await db.transaction(async (sql) => {
    const found = await sql.query(
      `update blob
       set state = 'present'
       where digest = $1
         and generation = $2
         and state = 'writing'
         and damage = 'missing'
       returning digest`,
      [digest, generation],
    )
    if (found.length > 0) await recordEvents(sql, [{ kind: catalogEvents.blobRepaired, data: { digest } }])
  })
}

const batchDigests = 500

/**
 * Lets registry know under which generation healed blobs lie: a served change of every repository that has one. Answers the
 * repositories and the revisions that tell it.
 */
export async function announceHealed(db: Database): Promise<{ repositoryId: string; revision: number }[]> {
  const healed = await db.query<{ digest: string }>(
    `select digest
     from blob
     where damage = 'healed'
       and state in ('present', 'remote')
     order by digest
     limit $1`,
    [batchDigests],
  )
  const digests = healed.map((row) => row.digest)
  if (digests.length === 0) return []
  const holders = await db.query<{ id: string }>(
    `select repository_id as id
     from blob_interval
     where digest = any($1::text[])
     union
     select repository_id
     from manifest_interval
     where digest = any($1::text[])`,
    [digests],
  )
  const changed = []
  for (const { id } of holders)
    changed.push({ repositoryId: id, revision: await db.transaction((sql) => touch(sql, id, digests)) })
  await db.transaction(async (sql) => {
    const told = await sql.query<{ digest: string }>(
      `update blob
       set damage = null
       where digest = any($1::text[])
         and damage = 'healed'
       returning digest`,
      [digests],
    )
    await recordEvents(
      sql,
      told.map(({ digest }) => ({ kind: catalogEvents.blobRepaired, data: { digest } })),
    )
  })
  return changed
}

async function touch(sql: Sql, repositoryId: string, digests: readonly string[]): Promise<number> {
  const repository = await lockRepository(sql, repositoryId)
  const revision = await nextRevision(sql, repository)
  await touchRows(sql, repositoryId, revision, digests)
  return revision
}
