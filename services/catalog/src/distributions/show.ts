import type { KeptTrigger, PullTrigger, ServedDistribution, ServedPullThrough } from '@berth/commands'
import { isUuid, notFound } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Distribution, Repository } from '../db/generated/client.ts'

/** What a pull-through distribution remembers of its remote, and how it is asked. */
export type PullThrough = {
  remoteId: string
  remote: string
  host: string
  ttlSeconds: number
  maxBytes: number | null
  trigger: KeptTrigger
  /** Absent where it was set before there was such a thing. */
  mirrorOfRoot?: boolean
}

export type Row = Distribution & { repository: Repository | null; through: { name: string } | null }
/** How the API shows a distribution. */
export function showDistribution(row: Row): Record<string, unknown> {
  const { id, name, basePath, repository, through, version, access, redirect, warning, convertToSchema1 } = row
  const { remote, ttlSeconds, maxBytes, trigger, mirrorOfRoot = false } = (row.pullThrough ?? {}) as PullThrough
  return {
    id,
    name,
    basePath,
    repository: repository?.name ?? null,
    repositoryId: repository?.id ?? null,
    version,
    access,
    redirect,
    warning,
    convertToSchema1,
    pullThrough: row.pullThrough
      ? { remote, ttlSeconds, maxBytes, trigger: shownTrigger(trigger), mirrorOfRoot }
      : null,
    via: through?.name ?? null,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    createdById: row.createdById,
    changedBy: row.changedBy,
    changedById: row.changedById,
  }
}

function shownTrigger(trigger: KeptTrigger): PullTrigger {
  return Array.isArray(trigger) ? trigger.map(({ name }) => name) : trigger
}

/** A distribution as registry hears of it; one of a host as `pullThrough`. */
export function toServed(
  row: Distribution,
): { kind: 'distribution'; served: ServedDistribution } | { kind: 'pull-through'; served: ServedPullThrough } {
  const { id, basePath, repositoryId, version, redirect, warning, convertToSchema1, via, ownerId } = row
  const common = {
    id,
    basePath,
    access: row.access as 'public' | 'private',
    revision: Number(row.revision),
    deleted: false,
  }
  if (repositoryId === null) {
    const { remoteId, host, ttlSeconds, trigger, mirrorOfRoot = false } = row.pullThrough as PullThrough
    return { kind: 'pull-through', served: { ...common, remoteId, host, ttlSeconds, trigger, mirrorOfRoot } }
  }
  return {
    kind: 'distribution',
    served: { ...common, repositoryId, version, redirect, warning, convertToSchema1, via, ownerId },
  }
}

/** Finds a distribution by id or name. Throws 404. */
export async function findDistribution(prisma: Prisma, idOrName: string): Promise<Row> {
  const row = await prisma.distribution.findUnique({
    where: isUuid(idOrName) ? { id: idOrName } : { name: idOrName },
    include: { repository: true, through: { select: { name: true } } },
  })
  if (!row) throw notFound('distribution', idOrName)
  return row
}
