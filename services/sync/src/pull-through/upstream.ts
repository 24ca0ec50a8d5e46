import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import { normalizeRegistryUrl, type RegistryClient, upstreamRepository } from '@berth/registry-client'
import { type Database, type Logger, Problem } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'
import type { KeptClients } from '../remotes/kept-clients.ts'
import { refuseOtherHost, refuseOthers } from './allowed-names.ts'
import { asProblem } from './upstream-problem.ts'

export type PullThroughParts = {
  db: Database
  prisma: Prisma
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  remotes: KeptClients
  log: Logger
}
export type Upstream = { remote: Remote; client: RegistryClient; repository: string; host: string }

/** Works with the repository upstream that a pull is for. Throws what upstream says as whoever pulls is to hear it. */
export async function withUpstream<T>(
  { prisma, remotes }: PullThroughParts,
  wanted: { remoteId: string; host: string; upstreamName: string },
  signal: AbortSignal,
  work: (upstream: Upstream) => Promise<T>,
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
    return await remotes.use(remote, (client) => work({ remote, client, repository, host: url.host }))
  } catch (error) {
    signal.throwIfAborted()
    throw asProblem(error, url.host)
  }
}
