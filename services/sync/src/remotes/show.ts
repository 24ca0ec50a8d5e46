import { normalizeRegistryUrl } from '@berth/registry-client'
import { notFound } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** How the API shows a remote: which secrets there are, never what they are. */
export function showRemote(row: Remote): Record<string, unknown> {
  const { sealedPassword, sealedToken, sealedClientKey, sealedProxyPassword, sealedHeaders: _headers, ...rest } = row
  const { listedBytes: _size, ...shown } = rest
  return {
    ...shown,
    hasCredentials: sealedPassword !== null || sealedToken !== null,
    hasClientKey: sealedClientKey !== null,
    hasProxyPassword: sealedProxyPassword !== null,
    createdAt: row.createdAt.toISOString(),
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
