import type { CatalogCommands, CommandClient } from '@berth/commands'
import { isUuid, type ObjectFinders } from '@berth/service'
import type { Prisma } from '../db/client.ts'

/** What is decided by of remotes, and of the repositories that are synced into, by id or name. */
export function syncObjects(prisma: Prisma, catalog: CommandClient<CatalogCommands>): ObjectFinders {
  return {
    remote: async (idOrName) => {
      const row = await prisma.remote.findUnique({
        where: isUuid(idOrName) ? { id: idOrName } : { name: idOrName },
        select: { id: true, name: true, ownerId: true },
      })
      return row ? { kind: 'remote', ...row } : undefined
    },
    repository: async (idOrName) => {
      const { repository } = await catalog.call('find-repository', { repository: idOrName })
      if (!repository) return undefined
      const { id, name, ownerId } = repository
      return { kind: 'repository', id, name, ownerId }
    },
  }
}
