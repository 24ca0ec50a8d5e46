import type { BlobStore } from '@berth/blobs'
import type { SyncCommands } from '@berth/commands'
import { parseManifest } from '@berth/oci'
import { normalizeRegistryUrl, type RegistryClient, upstreamRepository } from '@berth/registry-client'
import type { Database, Logger } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import { sourcesOf } from '../fetch/sources.ts'
import type { KeptClients } from '../remotes/kept-clients.ts'

type Deps = { db: Database; prisma: Prisma; blobs: BlobStore; remotes: KeptClients; log: Logger }
type Fetch = SyncCommands['fetch-again']
/** Where something may be had. */
type Place = { remoteId: string; repository: string }

const mostPlaces = 10

/**
 * Fetches bytes that were lost from where they once came: from where they were seen, and else from where these repositories were
 * synced from, the latest first.
 */
export async function fetchAgain(
  deps: Deps,
  { repositoryIds, blob }: Fetch['request'],
  signal: AbortSignal,
): Promise<Fetch['reply']> {
  for (const { remoteId, repository } of await placesOf(deps, repositoryIds, blob.digest)) {
    const remote = await deps.prisma.remote.findUnique({ where: { id: remoteId } })
    if (!remote) continue
    try {
      await deps.remotes.use(remote, (client) =>
        deps.blobs.write(blob, read(client, repository, blob, signal), { signal, expectedBytes: blob.sizeBytes }),
      )
      return { remote: remote.name }
    } catch (error) {
      signal.throwIfAborted()
      deps.log.warn('a remote cannot give back what was lost', { remote: remote.name, digest: blob.digest, error })
    }
  }
  return { remote: null }
}

async function placesOf(
  { db, prisma }: Deps,
  repositoryIds: readonly string[],
  digest: Fetch['request']['blob']['digest'],
): Promise<Place[]> {
  const seen = await sourcesOf(db, digest)
  const runs = await prisma.syncRun.findMany({
    where: { repositoryId: { in: [...repositoryIds] }, state: 'completed' },
    orderBy: { createdAt: 'desc' },
    distinct: ['remoteId', 'upstreamName'],
    take: mostPlaces,
  })
  const remotes = await prisma.remote.findMany({ where: { id: { in: runs.map((run) => run.remoteId) } } })
  const synced = runs.flatMap((run): Place[] => {
    const remote = remotes.find((one) => one.id === run.remoteId)
    const name = run.upstreamName ?? remote?.upstreamName
    if (!remote || !name) return []
    return [{ remoteId: remote.id, repository: upstreamRepository(normalizeRegistryUrl(remote.url), name) }]
  })
  const isNew = (place: Place) =>
    !seen.some((one) => one.remoteId === place.remoteId && one.repository === place.repository)
  return [...seen, ...synced.filter(isNew)].slice(0, mostPlaces)
}

async function* read(
  client: RegistryClient,
  repository: string,
  { digest, sizeBytes, isManifest }: Fetch['request']['blob'],
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  if (!isManifest) {
    yield* client.blob(repository, { digest, sizeBytes }, signal)
    return
  }
  const { bytes } = await client.manifest(repository, digest, signal)
  // The digest of a signed manifest is of a part of its bytes (docs/decisions/0009).
  yield parseManifest(bytes).signed?.payload ?? bytes
}
