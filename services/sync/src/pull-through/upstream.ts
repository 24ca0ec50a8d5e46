import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import { normalizeRegistryUrl, upstreamRepository } from '@berth/registry-client'
import { type Database, type Logger, Problem } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'
import type { KeptClients } from '../remotes/kept-clients.ts'
import type { OpenRemote } from '../remotes/open-remote.ts'
import { refuseOtherHost, refuseOthers } from './allowed-names.ts'
import { asProblem } from './upstream-problem.ts'

export type PullThroughDeps = {
  db: Database
  prisma: Prisma
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  remotes: KeptClients
  log: Logger
}

/** A repository upstream that is pulled through, and its remote. */
export type PulledUpstream = OpenRemote & { remote: Remote }

/** Works with the repository upstream that a pull is for. Throws what upstream says as the client that pulls is to hear it. */
export async function withUpstream<T>(
  { prisma, remotes }: PullThroughDeps,
  wanted: { remoteId: string; host: string; upstreamName: string },
  signal: AbortSignal,
  work: (upstream: PulledUpstream) => Promise<T>,
): Promise<T> {
  const remote = await prisma.remote.findUnique({ where: { id: wanted.remoteId } })
  if (!remote)
    throw new Problem(404, 'remote_not_found', `The remote for ${wanted.host} was deleted.`, {
      hint: 'What is here is still served; to have more, name another remote of that host in the distribution.',
    })
  refuseOthers(remote, wanted.upstreamName)
  const url = normalizeRegistryUrl(remote.url)
  refuseOtherHost(url.host, wanted.host)
  const repository = upstreamRepository(url, wanted.upstreamName)
  try {
    const open = { repository, host: url.host, concurrency: remote.concurrency }
    return await remotes.use(remote, (client) => work({ ...open, remote, client }))
  } catch (error) {
    signal.throwIfAborted()
    throw asProblem(error, url.host)
  }
}
