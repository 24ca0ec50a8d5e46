import { normalizeRegistryUrl } from '@berth/registry-client'
import { notFound, pickFields } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'
import type { components } from '../openapi-types.ts'
import { columns } from './fields.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** How the API shows a remote: which secrets there are, never what they are. */
export function showRemote(row: Remote): components['schemas']['Remote'] {
  const { id, headerNames, createdBy } = row
  return {
    id,
    ...pickFields(columns, row),
    headerNames,
    hasCredentials: row.sealedPassword !== null || row.sealedToken !== null,
    hasClientKey: row.sealedClientKey !== null,
    hasProxyPassword: row.sealedProxyPassword !== null,
    createdAt: row.createdAt.toISOString(),
    createdBy,
    updatedAt: row.updatedAt.toISOString(),
  }
}

/** A remote by id or name, with the host that it stands for; null when there is none. */
export async function remoteNamed(
  prisma: Prisma,
  idOrName: string,
): Promise<{ remote: { id: string; name: string; host: string } | null }> {
  const row = await prisma.remote.findUnique({ where: uuid.test(idOrName) ? { id: idOrName } : { name: idOrName } })
  return { remote: row && { id: row.id, name: row.name, host: normalizeRegistryUrl(row.url).host } }
}

/** Finds a remote by id or name. Throws 404. */
export async function findRemote(prisma: Prisma, idOrName: string): Promise<Remote> {
  const row = await prisma.remote.findUnique({ where: uuid.test(idOrName) ? { id: idOrName } : { name: idOrName } })
  if (!row) throw notFound('remote', idOrName)
  return row
}
