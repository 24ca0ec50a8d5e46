import { type CatalogCommands, type CommandHandlers, commandHandlers } from '@berth/commands'
import { type Database, type InternalHandler, notFound, rows } from '@berth/service'
import { type Discarding, discardLeased } from './collect/discard.ts'
import { pulledThrough } from './distributions/pull-through.ts'
import { freelyGiven } from './leases/freely-given.ts'
import { keepBlob, leaseBlobs, leasePresent, recordBlobs, releaseLeases, renewLeases } from './leases/leases.ts'
import { takeGenerations } from './leases/place-blobs.ts'
import { streamAccessObjects } from './lookups/access-objects.ts'
import { checkTags } from './lookups/check-tags.ts'
import { findServed } from './lookups/find-served.ts'
import { isNamed } from './lookups/is-named.ts'
import { knownBlobs, knownManifests } from './lookups/known.ts'
import {
  knownSignatures,
  lacksForeign,
  latestTags,
  membersOf,
  remoteBlobs,
  repositoryClosure,
  sparseIndexes,
} from './lookups/latest.ts'
import { mayBuildWithEgress, namespacesWithAuditedPulls } from './namespaces/find.ts'
import { nextOrder } from './pull-through/order.ts'
import { recordPulls } from './pulls/record-pulls.ts'
import { deleteBlobLink, deleteReference } from './pushes/delete-reference.ts'
import { linkBlob } from './pushes/link-blob.ts'
import { findLink, listLinking, pushBlob } from './pushes/push-blob.ts'
import { putManifest } from './pushes/put-manifest.ts'
import { putSignature } from './pushes/put-signature.ts'
import { ensureNamed } from './repositories/ensure.ts'
import { ensurePulled } from './repositories/ensure-pulled.ts'
import { findHead } from './repositories/find.ts'
import { requiredSignatures } from './repositories/settings.ts'
import { streamHeads, streamRows } from './served/rows.ts'
import type { ServedGate } from './served/wait-until-served.ts'
import { commitStage } from './stages/commit-stage.ts'
import { closeStage, stageContent } from './stages/stage-content.ts'
import { ensureWrittenOut } from './versions/ensure-written-out.ts'

type Streamed = 'list-served-rows' | 'list-served-heads' | 'list-access-objects'

/** Everything that other services may ask of catalog or have it do. */
export function catalogCommands(discarding: Discarding, gate: ServedGate): Record<string, InternalHandler> {
  const { db, cleaner } = discarding
  /** The database, once what is open in a repository is what its latest version has. */
  const latestOf = async (repositoryId: string): Promise<Database> => {
    await ensureWrittenOut(db, repositoryId)
    return db
  }
  const handlers: CommandHandlers<CatalogCommands, Streamed> = {
    'find-repository': async ({ repository }) => ({ repository: (await findHead(db, repository)) ?? null }),
    'find-served': (request) => findServed(db, request),
    'check-build-egress': async ({ namespace }) => ({ isAllowed: await mayBuildWithEgress(db, namespace) }),
    'check-tags': async (request) => {
      await checkTags(db, request)
      return {}
    },
    'find-required-signatures': async ({ repository }) => ({ signatures: await requiredSignatures(db, repository) }),
    'ensure-pulled': async (request) => {
      const { arrived, ...reply } = await ensurePulled(db, request)
      // Of a repository that registry knows already it hears by this alone.
      if (arrived) await gate.distribution(arrived)
      return reply
    },
    'take-pull-order': async () => ({ asked: await nextOrder(db) }),
    'check-named': async (request) => ({ isNamed: await isNamed(db, request) }),
    'ensure-repository': async (request) => ({ repository: await ensureNamed(db, request) }),
    'lease-blobs': async (request) => ({ blobs: await leaseBlobs(db, request) }),
    'keep-blob': async (request) => ({ blob: await keepBlob(db, request) }),
    'lease-present': async (request) => ({ blob: await leasePresent(db, request) }),
    'renew-leases': async ({ holder, ttlSeconds }) => {
      await renewLeases(db, holder, ttlSeconds)
      return {}
    },
    'release-leases': async ({ holder, discard }) => {
      await (discard ? discardLeased(discarding, holder) : releaseLeases(db, holder))
      return {}
    },
    'record-blobs': async ({ blobs }) => {
      await db.transaction((sql) => recordBlobs(sql, blobs))
      return {}
    },
    'link-blob': (request) => linkBlob(db, request),
    'push-blob': (request) => pushBlob(db, request),
    'take-generations': async ({ count }) => ({ numbers: await takeGenerations(db, count) }),
    'find-link': async (request) => ({ blob: await findLink(db, request) }),
    'list-linking': async ({ digest }) => ({ repositoryIds: await listLinking(db, digest) }),
    'push-manifest': (request, call) => putManifest(db, request, call),
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
    'await-served': async ({ repository }) => {
      const head = await findHead(db, repository)
      if (!head) throw notFound('repository', repository)
      await gate.repository(head.id, head.revision, head.latestVersion)
      return { version: head.latestVersion }
    },
    'close-stage': (request) => closeStage(db, request),
    'list-known-manifests': ({ digests }) => knownManifests(db, digests),
    'list-known-blobs': async ({ digests }) => ({ digests: await knownBlobs(db, digests) }),
    'list-freely-given': async (request) => ({ digests: await freelyGiven(db, request) }),
    'list-pulled-through': async ({ remoteId }) => ({ distributions: await pulledThrough(db, remoteId) }),
    'list-members': async (request) => ({ digests: await membersOf(await latestOf(request.repositoryId), request) }),
    'list-blob-states': async ({ digests }) => ({
      blobs: await db.query('select digest, state from blob where digest = any($1::text[])', [digests]),
    }),
    'list-remote-blobs': async (request) => ({
      blobs: await remoteBlobs(await latestOf(request.repositoryId), request),
    }),
    'list-known-signatures': async (request) => ({
      names: await knownSignatures(await latestOf(request.repositoryId), request),
    }),
    'find-closure': async (request) => ({
      digests: await repositoryClosure(await latestOf(request.repositoryId), request),
    }),
    'list-lacking-foreign': async ({ repositoryId }) => ({
      digests: await lacksForeign(await latestOf(repositoryId), repositoryId),
    }),
    'list-sparse-indexes': async ({ repositoryId }) => ({
      digests: await sparseIndexes(await latestOf(repositoryId), repositoryId),
    }),
    'list-tags': async (request) => ({ tags: await latestTags(await latestOf(request.repositoryId), request) }),
    'check-may-delete': async () => ({ mayDelete: await cleaner.isAlone() }),
    'record-pulls': async (request) => {
      await recordPulls(db, request)
      return {}
    },
    'list-audited-namespaces': async () => ({ names: await namespacesWithAuditedPulls(db) }),
    'list-served-rows': async ({ repositoryId, afterRevision }) =>
      rows(streamRows(db.background, repositoryId, afterRevision)),
    'list-served-heads': async () => rows(streamHeads(db.background)),
    'list-access-objects': async (request) => rows(streamAccessObjects(db.background, request)),
  }
  return commandHandlers(handlers)
}
