import type { CatalogCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { closureOf } from '../curation/graph.ts'

/** Which of these manifests the latest version of a repository has. */
export async function membersOf(db: Database, request: CatalogCommands['list-members']['request']): Promise<Digest[]> {
  const rows = await db.query<{ digest: Digest }>(
    'select digest from manifest_interval where repository_id = $1 and until is null and digest = any($2::text[])',
    [request.repositoryId, request.digests],
  )
  return rows.map((row) => row.digest)
}

/** Blobs of a repository whose bytes are only at a remote, by digest: a page after `after`. */
export async function remoteBlobs(db: Database, request: CatalogCommands['list-remote-blobs']['request']) {
  return db.query<{ digest: Digest; sizeBytes: number }>(
    `select digest, size_bytes as "sizeBytes"
     from blob
     where state = 'remote'
       and digest > $2
       and exists (
         select
         from blob_interval as member
         where member.repository_id = $1
           and member.digest = blob.digest
           and member.until is null)
     order by digest
     limit $3`,
    [request.repositoryId, request.after ?? '', Math.min(request.limit, 10_000)],
  )
}

/** Which of these names of atomic signatures a repository has. */
export async function knownSignatures(
  db: Database,
  request: CatalogCommands['list-known-signatures']['request'],
): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    'select name from signature_interval where repository_id = $1 and until is null and name = any($2::text[])',
    [request.repositoryId, request.names],
  )
  return rows.map((row) => row.name)
}

/** All that hangs on some manifests in the latest version of a repository, with what is loose. */
export async function repositoryClosure(
  db: Database,
  request: CatalogCommands['find-closure']['request'],
): Promise<Digest[]> {
  const { repositoryId, digests, companions, childless = [] } = request
  const [head] = await db.query<{ name: string; latest: number }>(
    'select name, latest_version as latest from repository where id = $1',
    [repositoryId],
  )
  // What is loose belongs to the version after the latest.
  const source = { repositoryId, name: head?.name ?? '', bound: (head?.latest ?? 0) + 1 }
  return closureOf(db, source, digests, { companions, childless })
}

/** Indexes of a repository that lack a manifest, and those above them. */
export async function sparseIndexes(db: Database, repositoryId: string): Promise<Digest[]> {
  const rows = await db.query<{ digest: Digest }>(
    `with recursive members as materialized (select digest from manifest_interval where repository_id = $1 and until is null),
     sparse (digest) as (
       select reference.manifest
       from members
       join manifest on manifest.digest = members.digest and manifest.is_index
       join manifest_reference as reference on reference.manifest = manifest.digest and reference.role = 'manifest'
       where not exists (select from members as child where child.digest = reference.child)
       union
       select reference.manifest
       from sparse
       join manifest_reference as reference on reference.child = sparse.digest and reference.role = 'manifest'
       join members on members.digest = reference.manifest)
     select digest
     from sparse`,
    [repositoryId],
  )
  return rows.map((row) => row.digest)
}

/** Manifests of a repository with a foreign layer that it does not hold. */
export async function lacksForeign(db: Database, repositoryId: string): Promise<Digest[]> {
  const rows = await db.query<{ digest: Digest }>(
    `select distinct member.digest
     from manifest_interval as member
     join manifest_reference as layer on layer.manifest = member.digest and layer.role = 'layer' and layer.optional
     where member.repository_id = $1
       and member.until is null
       and not exists (
         select
         from blob_interval as held
         where held.repository_id = $1
           and held.digest = layer.child
           and held.until is null)`,
    [repositoryId],
  )
  return rows.map((row) => row.digest)
}

/** Tags of the latest version by name: a page after `after`. */
export async function latestTags(db: Database, request: CatalogCommands['list-tags']['request']) {
  return db.query<{ name: string; digest: Digest }>(
    `select name, digest
     from tag_interval
     where repository_id = $1
       and until is null
       and name > $2
     order by name
     limit $3`,
    [request.repositoryId, request.after ?? '', Math.min(request.limit, 10_000)],
  )
}
