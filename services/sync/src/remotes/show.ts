import { decide, type Rights } from '@berth/access'
import type { SyncCommands } from '@berth/commands'
import { normalizeRegistryUrl } from '@berth/registry-client'
import { notFound, pickFields } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'
import type { components } from '../openapi-types.ts'
import { columns } from './fields.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** How the API shows a remote: which secrets there are, never what they are. */
export function showRemote(row: Remote): components['schemas']['Remote'] {
  const { id, headerNames, createdBy, createdById } = row
  return {
    id,
    ...pickFields(columns, row),
    host: normalizeRegistryUrl(row.url).host,
    headerNames,
    hasCredentials: row.sealedPassword !== null || row.sealedToken !== null,
    hasClientKey: row.sealedClientKey !== null,
    hasProxyPassword: row.sealedProxyPassword !== null,
    createdAt: row.createdAt.toISOString(),
    createdBy,
    createdById,
    updatedAt: row.updatedAt.toISOString(),
  }
}

// Where it points to, and as whom: for those alone who may change it.
const hidden = {
  url: null,
  username: null,
  tokenHosts: [],
  redirectHosts: [],
  caCert: null,
  clientCert: null,
  proxyUrl: null,
  proxyUsername: null,
  headerNames: [],
}

/** A remote as a caller may see it. */
export function showRemoteTo(rights: Rights, row: Remote): components['schemas']['Remote'] {
  const { id, name, ownerId } = row
  const isAllowed = decide(rights, 'remote.update', { kind: 'remote', id, name, ownerId }).allowed
  if (isAllowed) return showRemote(row)
  const { signatures, ...shown } = showRemote(row)
  const { sigstore: _where, ...required } = signatures ?? {}
  return { ...shown, ...hidden, signatures: signatures ? required : null }
}

/** A remote by id or name, with the host that it stands for; null when there is none. */
export async function remoteNamed(prisma: Prisma, idOrName: string): Promise<SyncCommands['find-remote']['reply']> {
  const row = await prisma.remote.findUnique({ where: uuid.test(idOrName) ? { id: idOrName } : { name: idOrName } })
  if (!row) return { remote: null }
  const { id, name, ownerId, url } = row
  return { remote: { id, name, ownerId, host: normalizeRegistryUrl(url).host } }
}

/** Finds a remote by id or name. Throws 404. */
export async function findRemote(prisma: Prisma, idOrName: string): Promise<Remote> {
  const row = await prisma.remote.findUnique({ where: uuid.test(idOrName) ? { id: idOrName } : { name: idOrName } })
  if (!row) throw notFound('remote', idOrName)
  return row
}
