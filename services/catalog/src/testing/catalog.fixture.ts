import { createHash, randomUUID } from 'node:crypto'
import { asDigest, type Digest } from '@berth/oci'
import { applyMigrations, type Database, type InternalCall, openDatabase } from '@berth/service'
import { makeDatabase } from '@berth/service/testing'
import { schemaParts } from '../db/schema-parts.ts'
import { takeGenerations } from '../leases/place-blobs.ts'
import { pushBlob as endPush } from '../pushes/push-blob.ts'
import { putManifest } from '../pushes/put-manifest.ts'

export type Catalog = { db: Database; url: string; stop: () => Promise<void> }
/** What a manifest of a test names. */
export type Graph = { blobs?: readonly Digest[]; children?: readonly Digest[]; subject?: Digest; name?: string }

/** A database of its own with the tables of catalog. */
export async function startCatalog(): Promise<Catalog> {
  const database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'catalog', parts: schemaParts })
  const db = openDatabase({ url: database.url, schema: 'catalog', max: 12 })
  const stop = async () => {
    await db.close()
    await database.drop()
  }
  return { db, url: database.url, stop }
}

export function digestOf(text: string): Digest {
  return asDigest(`sha256:${createHash('sha256').update(text).digest('hex')}`)
}

export function newCall(): InternalCall {
  const id = randomUUID()
  return { from: 'test', commandId: id, requestId: id, timeoutMs: 15_000, signal: new AbortController().signal }
}

const target = (repository: string) => ({
  repository,
  mayCreate: true,
  actor: { id: null, name: 'ana' },
  holder: `push:${repository}`,
})

/** Pushes a blob whose bytes are said to be durable. */
export async function pushBlob(db: Database, repository: string, name: string, sizeBytes = 100): Promise<Digest> {
  const digest = digestOf(name)
  const [generation = 0] = await takeGenerations(db, 1)
  await endPush(db, { ...target(repository), repositoryId: null, digest, generation, sizeBytes, keepSeconds: 60 })
  return digest
}

/** Pushes a manifest that names this, as a push through `/v2` does, and answers its digest. */
export async function pushManifest(
  db: Database,
  repository: string,
  graph: Graph,
  tags: readonly string[] = [],
): Promise<Digest> {
  const { blobs = [], children = [], subject, name = '' } = graph
  const digest = digestOf(`manifest ${name} ${[...blobs, ...children, subject ?? ''].join()}`)
  const [generation = 0] = await takeGenerations(db, 1)
  const reference = (role: 'config' | 'layer' | 'manifest') => (child: Digest) => ({
    role,
    digest: child,
    mediaType: 'application/octet-stream',
    sizeBytes: 100,
    optional: false,
    platform: undefined,
  })
  const [config, ...layers] = blobs
  const references = [
    ...(config ? [reference('config')(config)] : []),
    ...layers.map(reference('layer')),
    ...children.map(reference('manifest')),
  ]
  const manifest = {
    digest,
    generation,
    mediaType: children.length > 0 ? 'index' : 'image',
    isIndex: children.length > 0,
    sizeBytes: 10,
    artifactType: undefined,
    subject,
    annotations: {},
    references,
  }
  await putManifest(db, { ...target(repository), manifest, tags: [...tags] }, newCall())
  return digest
}

export type Content = { tags: Record<string, Digest>; manifests: Digest[]; blobs: Digest[] }

const contentQuery = `
  with wanted as (
    select id,
      case
        when coalesce($2, latest_version) = latest_version then coalesce(content_of, latest_version)
        else $2::integer
      end as number
    from repository
    where name = $1)
  select
    (
      select coalesce(jsonb_object_agg(name, digest), '{}')
      from tag_interval, wanted
      where repository_id = wanted.id
        and since <= number
        and (until is null or until > number)) as tags,
    (
      select coalesce(jsonb_agg(digest order by digest), '[]')
      from manifest_interval, wanted
      where repository_id = wanted.id
        and since <= number
        and (until is null or until > number)) as manifests,
    (
      select coalesce(jsonb_agg(digest order by digest), '[]')
      from blob_interval, wanted
      where repository_id = wanted.id
        and since <= number
        and (until is null or until > number)) as blobs`

/**
 * What a version holds; the latest when none is named. Of one that is not written out, what the version holds whose content it
 * has.
 */
export async function contentOf(db: Database, repository: string, version?: number): Promise<Content> {
  const [row] = await db.query<Content>(contentQuery, [repository, version ?? null])
  if (!row) throw new Error(`no repository ${repository}`)
  return row
}

export async function idOf(db: Database, repository: string): Promise<string> {
  const [row] = await db.query<{ id: string }>('select id from repository where name = $1', [repository])
  if (!row) throw new Error(`no repository ${repository}`)
  return row.id
}
