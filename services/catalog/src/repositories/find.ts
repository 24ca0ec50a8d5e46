import type { RepositoryHead } from '@berth/commands'
import { type Database, isUuid, notFound } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Repository } from '../db/generated/client.ts'

/** Finds a repository by id or name. Throws 404. */
export async function findRepository(prisma: Prisma, idOrName: string): Promise<Repository> {
  const row = await prisma.repository.findUnique({ where: isUuid(idOrName) ? { id: idOrName } : { name: idOrName } })
  if (!row) throw notFound('repository', idOrName)
  return row
}

/** The head of a repository by id or name; `undefined` when there is none. */
export async function findHead(db: Database, idOrName: string) {
  const [head] = await db.query<RepositoryHead & { ownerId: string | null }>(
    `select id, name, latest_version as "latestVersion", revision, owner_id as "ownerId"
     from repository
     where name = $1 or id::text = $1`,
    [idOrName],
  )
  return head
}
