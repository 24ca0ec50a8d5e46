import type { BlobStore } from '@berth/blobs'
import type { SyncCommands } from '@berth/commands'
import { parseManifest } from '@berth/oci'
import type { Logger, Sealer } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'
import { type OpenRemote, openRemote } from '../remotes/open-remote.ts'

type Fetch = SyncCommands['fetch-again']
const mostRemotes = 5

/** Brings bytes that were lost back from where they once came. Tries the remotes of these repositories, the latest first. */
export async function fetchAgain(
  parts: { prisma: Prisma; sealer: Sealer; blobs: BlobStore; log: Logger },
  { repositoryIds, blob }: Fetch['request'],
  signal: AbortSignal,
): Promise<Fetch['reply']> {
  for (const remote of await remotesOf(parts.prisma, repositoryIds)) {
    const open = openRemote(remote, parts.sealer)
    try {
      await parts.blobs.write(blob, read(open, blob, signal), { signal, expectedBytes: blob.sizeBytes })
      return { remote: remote.name }
    } catch (error) {
      signal.throwIfAborted()
      parts.log.warn('a remote cannot give back what was lost', { remote: remote.name, digest: blob.digest, error })
    } finally {
      await open.client.close()
    }
  }
  return { remote: null }
}

async function remotesOf(prisma: Prisma, repositoryIds: readonly string[]): Promise<Remote[]> {
  const runs = await prisma.syncRun.findMany({
    where: { repositoryId: { in: [...repositoryIds] }, state: 'completed' },
    orderBy: { createdAt: 'desc' },
    distinct: ['remoteId'],
    take: mostRemotes,
  })
  const remotes = await prisma.remote.findMany({ where: { id: { in: runs.map((run) => run.remoteId) } } })
  return runs.flatMap((run) => remotes.filter((remote) => remote.id === run.remoteId))
}

async function* read(
  { client, repository }: OpenRemote,
  { digest, sizeBytes, isManifest }: Fetch['request']['blob'],
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  if (!isManifest) {
    yield* client.blob(repository, { digest, sizeBytes }, signal)
    return
  }
  const { bytes, mediaType } = await client.manifest(repository, digest, signal)
  // The digest of a signed manifest is of a part of its bytes (docs/decisions/0009).
  yield parseManifest(bytes, mediaType).signed?.payload ?? bytes
}
