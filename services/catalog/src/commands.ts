import { type CatalogCommands, type CommandHandlers, commandHandlers, type ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Database, fitPage, type InternalHandler, notFound, rows } from '@berth/service'
import type { LoneCleaner } from './cleaner/lone-cleaner.ts'
import { closureOf } from './curation/graph.ts'
import { pulledThrough } from './distributions/pull-through.ts'
import { heldNow } from './intervals/held.ts'
import { freelyGiven } from './leases/freely-given.ts'
import { keepBlob, leaseBlobs, recordBlobs, releaseLeases, renewLeases } from './leases/leases.ts'
import { nextOrder } from './pull-through/order.ts'
import { recordPulls } from './pulls/record-pulls.ts'
import { deleteBlobLink, deleteReference } from './pushes/delete-reference.ts'
import { linkBlob } from './pushes/link-blob.ts'
import { putManifest } from './pushes/put-manifest.ts'
import { putSignature } from './pushes/put-signature.ts'
import { ensureNamed } from './repositories/ensure.ts'
import { ensurePulled } from './repositories/ensure-pulled.ts'
import { requiredSignatures } from './repositories/settings.ts'
import { streamHeads, streamRows } from './served/rows.ts'
import type { ServedGate } from './served/wait-until-served.ts'
import { commitStage } from './stages/commit-stage.ts'
import { closeStage, stageContent } from './stages/stage-content.ts'
import { ensureWrittenOut } from './versions/ensure-written-out.ts'

type Streamed = 'served-rows' | 'served-heads'

/** Everything that other services may ask of catalog or have it do. */
export function catalogCommands(db: Database, cleaner: LoneCleaner, gate: ServedGate): Record<string, InternalHandler> {
  /** The database, once what is open in a repository is what its latest version has. */
  const latestOf = async (repositoryId: string): Promise<Database> => {
    await ensureWrittenOut(db, repositoryId)
    return db
  }
  const handlers: CommandHandlers<CatalogCommands, Streamed> = {
    repository: async ({ repository }) => ({ repository: (await findHead(db, repository)) ?? null }),
    'required-signatures': async ({ repository }) => ({ signatures: await requiredSignatures(db, repository) }),
    'ensure-pulled': async (request) => {
      const { arrived, ...reply } = await ensurePulled(db, request)
      // Of a repository that registry knows already it hears by this alone.
      if (arrived) await gate.distribution(arrived)
      return reply
    },
    'pull-order': async () => ({ asked: await nextOrder(db) }),
    'is-named': async (request) => ({ isNamed: await isNamed(db, request) }),
    'ensure-repository': async (request) => ({ repository: await ensureNamed(db, request) }),
    'lease-blobs': async (request) => ({ blobs: await leaseBlobs(db, request) }),
    'keep-blob': async (request) => ({ blob: await keepBlob(db, request) }),
    'renew-leases': async ({ holder, ttlSeconds }) => {
      await renewLeases(db, holder, ttlSeconds)
      return {}
    },
    'release-leases': async ({ holder }) => {
      await releaseLeases(db, holder)
      return {}
    },
    'record-blobs': async ({ blobs }) => {
      await db.transaction((sql) => recordBlobs(sql, blobs))
      return {}
    },
    'link-blob': (request) => linkBlob(db, request),
    'put-manifest': (request, call) => putManifest(db, request, call),
    'put-signature': (request, call) => putSignature(db, request, call),
    'delete-reference': (request, call) => deleteReference(db, request, call),
    'delete-blob-link': (request, call) => deleteBlobLink(db, request, call),
    'stage-content': async (request) => {
      await stageContent(db, request)
      return {}
    },
    'commit-stage': async (request) => {
      const { reply, revision } = await commitStage(db.background, request)
      await gate.repository(request.repositoryId, revision, reply.version)
      return reply
    },
    'until-served': async ({ repository }) => {
      const head = await findHead(db, repository)
      if (!head) throw notFound('repository', repository)
      await gate.repository(head.id, head.revision, head.latestVersion)
      return { version: head.latestVersion }
    },
    'close-stage': (request) => closeStage(db, request),
    'known-manifests': ({ digests }) => knownManifests(db, digests),
    'known-blobs': async ({ digests }) => ({ digests: await knownBlobs(db, digests) }),
    'freely-given': async (request) => ({ digests: await freelyGiven(db, request) }),
    'pulled-through': async ({ remoteId }) => ({ distributions: await pulledThrough(db, remoteId) }),
    members: async (request) => ({ digests: await membersOf(await latestOf(request.repositoryId), request) }),
    'blob-states': async ({ digests }) => ({
      blobs: await db.query('select digest, state from blob where digest = any($1::text[])', [digests]),
    }),
    'remote-blobs': async (request) => ({ blobs: await remoteBlobs(await latestOf(request.repositoryId), request) }),
    'known-signatures': async (request) => ({
      names: await knownSignatures(await latestOf(request.repositoryId), request),
    }),
    closure: async (request) => ({ digests: await repositoryClosure(await latestOf(request.repositoryId), request) }),
    'lacks-foreign': async ({ repositoryId }) => ({
      digests: await lacksForeign(await latestOf(repositoryId), repositoryId),
    }),
    'sparse-indexes': async ({ repositoryId }) => ({
      digests: await sparseIndexes(await latestOf(repositoryId), repositoryId),
    }),
    tags: async (request) => ({ tags: await latestTags(await latestOf(request.repositoryId), request) }),
    'may-delete': async () => ({ mayDelete: await cleaner.isAlone() }),
    'record-pulls': async (request) => {
      await recordPulls(db, request)
      return {}
    },
    'served-rows': async ({ repositoryId, afterRevision }) =>
      rows(streamRows(db.background, repositoryId, afterRevision)),
    'served-heads': async () => rows(streamHeads(db.background)),
  }
  return commandHandlers(handlers)
}

async function findHead(db: Database, idOrName: string) {
  const [head] = await db.query<{ id: string; name: string; latestVersion: number; revision: number }>(
    'select id, name, latest_version as "latestVersion", revision from repository where name = $1 or id::text = $1',
    [idOrName],
  )
  return head
}

async function knownBlobs(db: Database, digests: readonly Digest[]): Promise<Digest[]> {
  const rows = await db.query<{ digest: Digest }>(
    `select digest from blob where digest = any($1::text[]) and state = 'present'`,
    [digests],
  )
  return rows.map((row) => row.digest)
}

async function membersOf(db: Database, request: CatalogCommands['members']['request']): Promise<Digest[]> {
  const rows = await db.query<{ digest: Digest }>(
    'select digest from manifest_interval where repository_id = $1 and until is null and digest = any($2::text[])',
    [request.repositoryId, request.digests],
  )
  return rows.map((row) => row.digest)
}

async function remoteBlobs(db: Database, request: CatalogCommands['remote-blobs']['request']) {
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

async function knownSignatures(
  db: Database,
  request: CatalogCommands['known-signatures']['request'],
): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    'select name from signature_interval where repository_id = $1 and until is null and name = any($2::text[])',
    [request.repositoryId, request.names],
  )
  return rows.map((row) => row.name)
}

async function repositoryClosure(db: Database, request: CatalogCommands['closure']['request']): Promise<Digest[]> {
  const { repositoryId, digests, companions, childless = [] } = request
  const [head] = await db.query<{ name: string; latest: number }>(
    'select name, latest_version as latest from repository where id = $1',
    [repositoryId],
  )
  // What is loose belongs to the version after the latest.
  const source = { repositoryId, name: head?.name ?? '', bound: (head?.latest ?? 0) + 1 }
  return closureOf(db, source, digests, { companions, childless })
}

async function sparseIndexes(db: Database, repositoryId: string): Promise<Digest[]> {
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

async function lacksForeign(db: Database, repositoryId: string): Promise<Digest[]> {
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

const isNamedQuery = `
  select
  from manifest_reference as reference
  join manifest_interval as member on member.digest = reference.manifest
  join repository on repository.id = member.repository_id
    and ${heldNow('member', 'content_of')}
  where repository.name = $1
    and reference.child = $2
    and reference.role = 'manifest'
    and not exists (
      select
      from tag_interval as tag
      where tag.repository_id = repository.id
        and tag.digest = member.digest
        and tag.name ~ '^sha(256|512)-[0-9a-f]{64}')
  limit 1`

async function isNamed(db: Database, { repository, digest }: CatalogCommands['is-named']['request']): Promise<boolean> {
  const found = await db.query(isNamedQuery, [repository, digest])
  return found.length > 0
}

async function latestTags(db: Database, request: CatalogCommands['tags']['request']) {
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

// What a reference takes in the reply, types and digests at their usual length.
const referenceBytes = 400

/**
 * Of these manifests those that are known, in this order, as many as fit into a page of bytes; `rest` are those that were not
 * looked at any more.
 */
async function knownManifests(
  db: Database,
  digests: readonly Digest[],
): Promise<{ manifests: ManifestRecord[]; rest: Digest[] }> {
  const sizes = await db.query<{ digest: Digest; listedBytes: number }>(
    `select digest,
       listed_bytes + ${referenceBytes} * (select count(*) from manifest_reference where manifest = digest)::integer as "listedBytes"
     from unnest($1::text[]) with ordinality as wanted (digest, place)
     join manifest using (digest)
     order by place`,
    [digests],
  )
  const { rows: fitting } = fitPage(sizes, { after: undefined, limit: digests.length })
  const manifests = await readManifests(
    db,
    fitting.map(({ digest }) => digest),
  )
  return { manifests, rest: sizes.slice(fitting.length).map(({ digest }) => digest) }
}

const manifestsQuery = `
  select manifest.digest, manifest.media_type as "mediaType", manifest.is_index as "isIndex",
    manifest.size_bytes as "sizeBytes", blob.generation, manifest.artifact_type as "artifactType", manifest.subject,
    manifest.annotations,
    coalesce((
      select json_agg(
        json_build_object(
          'role', role, 'digest', child, 'mediaType', media_type, 'sizeBytes', size_bytes, 'optional', optional,
          'platform', platform)
        order by place)
      from manifest_reference as reference
      where reference.manifest = manifest.digest
        and place > 0), '[]') as references,
    case when whole.digest is not null then json_build_object(
      'digest', whole.digest, 'generation', whole.generation, 'sizeBytes', whole.size_bytes) end as envelope
  from manifest
  join blob using (digest)
  left join blob as whole on whole.digest = manifest.envelope and whole.state = 'present'
  where manifest.digest = any($1::text[])
    and blob.state = 'present'
    and (manifest.envelope is null or whole.digest is not null)`

async function readManifests(db: Database, digests: readonly Digest[]): Promise<ManifestRecord[]> {
  return db.query<ManifestRecord>(manifestsQuery, [digests])
}
