import type { BlobKey, BlobStore } from '@berth/blobs'
import {
  configLimitBytes,
  type Digest,
  type ManifestFacts,
  manifestFacts,
  type Reference,
  readableConfig,
} from '@berth/oci'
import type { Sql } from '@berth/service'

const batch = 100
const atOnce = 8

type Unread = {
  digest: Digest
  mediaType: string
  isIndex: boolean
  artifactType: string | null
  annotations: Record<string, string>
  references: Reference[]
  config: BlobKey | null
}

const columns = `
  manifest.digest, manifest.media_type as "mediaType", manifest.is_index as "isIndex", manifest.artifact_type as "artifactType",
  manifest.annotations,
  coalesce((
    select jsonb_agg(
      jsonb_build_object(
        'role', role, 'digest', child, 'mediaType', reference.media_type, 'sizeBytes', reference.size_bytes)
      order by place)
    from manifest_reference as reference
    where reference.manifest = manifest.digest
      and place > 0), '[]') as references,
  (
    select jsonb_build_object('digest', blob.digest, 'generation', blob.generation)
    from manifest_reference as reference
    join blob on blob.digest = reference.child and blob.state = 'present'
    where reference.manifest = manifest.digest
      and reference.role = 'config'
    limit 1) as config`

// A sync tells of manifests before their configurations come. A manifest without any facts gets those that need no configuration.
const isReadable = `config_unread and (facts is null or exists (
  select
  from manifest_reference as reference
  join blob on blob.digest = reference.child and blob.state = 'present'
  where reference.manifest = manifest.digest
    and reference.role = 'config'))`

/**
 * Looks into the configurations of manifests that came lately, and into all there is to know of those that were recorded
 * before facts were; a batch at a time. One that the store does not give is left for the next time, and its error is thrown
 * at the end, so it keeps no other from being read.
 */
export async function readConfigs(db: Sql, blobs: BlobStore, signal: AbortSignal): Promise<void> {
  const failures: unknown[] = []
  for (let after = ''; !signal.aborted; ) {
    const rows = await db.query<Unread>(
      `select ${columns}
       from manifest
       where ${isReadable}
         and digest > $1
       order by digest
       limit $2`,
      [after, batch],
    )
    failures.push(...(await readAll(db, blobs, rows)))
    const last = rows.at(-1)
    if (!last || rows.length < batch) break
    after = last.digest
  }
  if (failures.length > 0) throw failures[0]
}

/**
 * The same for what a repository has, so that a user who has just pushed something finds it by its facts. A batch and no more:
 * where more came at once, the rest is found a little later.
 */
export async function readConfigsOf(db: Sql, blobs: BlobStore, repositoryId: string): Promise<void> {
  const rows = await db.query<Unread>(
    `select ${columns}
     from manifest
     where ${isReadable}
       and exists (select from manifest_interval as member where member.repository_id = $1 and member.digest = manifest.digest)
     limit $2`,
    [repositoryId, batch],
  )
  const [failure] = await readAll(db, blobs, rows)
  if (failure) throw failure
}

/** Reads what it can, and answers why it could not read the rest. */
async function readAll(db: Sql, blobs: BlobStore, rows: readonly Unread[]): Promise<unknown[]> {
  const read: { digest: Digest; facts: ManifestFacts }[] = []
  const failures: unknown[] = []
  for (let i = 0; i < rows.length; i += atOnce) {
    const outcomes = await Promise.allSettled(
      rows.slice(i, i + atOnce).map(async (row) => ({ digest: row.digest, facts: await factsOf(blobs, row) })),
    )
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') read.push(outcome.value)
      else failures.push(outcome.reason)
    }
  }
  if (read.length > 0)
    await db.query(
      `update manifest
       set facts = read.facts, config_unread = false
       from unnest($1::text[], $2::jsonb[]) as read (digest, facts)
       where manifest.digest = read.digest`,
      [read.map(({ digest }) => digest), read.map(({ facts }) => JSON.stringify(facts))],
    )
  return failures
}

async function factsOf(blobs: BlobStore, { config, artifactType, ...row }: Unread): Promise<ManifestFacts> {
  const manifest = { ...row, ...(artifactType === null ? {} : { artifactType }) }
  const bytes = config && readableConfig(manifest) ? await readBlob(blobs, config) : undefined
  return manifestFacts(manifest, bytes)
}

/** The bytes of a small blob; `undefined` when it is gone, or longer than its descriptor says. */
async function readBlob(blobs: BlobStore, key: BlobKey): Promise<Uint8Array | undefined> {
  const blob = await blobs.open(key)
  if (!blob) return undefined
  try {
    return blob.sizeBytes > configLimitBytes ? undefined : Buffer.concat(await blob.stream().toArray())
  } finally {
    await blob.close()
  }
}
