import type { SyncCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { Database, Logger } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import { inParallel } from '../fetch/in-parallel.ts'
import { type Source, sourcesOf } from '../fetch/sources.ts'
import type { KeptClients } from '../remotes/kept-clients.ts'

type Deps = { db: Database; prisma: Prisma; remotes: KeptClients; log: Logger }
type StillThere = SyncCommands['check-still-there']
const width = 8

/** Which of these blobs a remote says just now that it has. One that cannot be asked has nothing. */
export async function stillThere(
  deps: Deps,
  { blobs }: StillThere['request'],
  signal: AbortSignal,
): Promise<StillThere['reply']> {
  const digests: Digest[] = []
  await inParallel(blobs, width, signal, async ({ digest, sizeBytes }, both) => {
    for (const source of await sourcesOf(deps.db, digest)) {
      if (!(await isAt(deps, source, { digest, sizeBytes }, both))) continue
      digests.push(digest)
      return
    }
  })
  return { digests }
}

async function isAt(
  { prisma, remotes, log }: Deps,
  { remoteId, remote: name, repository }: Source,
  blob: { digest: Digest; sizeBytes: number },
  signal: AbortSignal,
): Promise<boolean> {
  const remote = await prisma.remote.findUnique({ where: { id: remoteId } })
  if (!remote) return false
  try {
    return await remotes.use(remote, async (client) => {
      const sizeBytes = await client.blobSize(repository, blob.digest, signal)
      return sizeBytes === blob.sizeBytes
    })
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    log.warn('a remote does not say whether it has a blob', { remote: name, digest: blob.digest, error })
    return false
  }
}
