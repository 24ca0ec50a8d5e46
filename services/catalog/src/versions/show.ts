import { Problem } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Version } from '../db/generated/client.ts'

/** How the API shows a version. */
export function showVersion(row: Version): Record<string, unknown> {
  const { number, base, cause, createdAt, createdBy, createdById, taskId, present, added, removed, contentHash } = row
  return {
    number,
    base,
    cause,
    createdAt: createdAt.toISOString(),
    createdBy,
    createdById,
    task: taskId,
    counts: { present, added, removed },
    contentHash,
  }
}

/** Finds a version of a repository. Throws 404. */
export async function findVersion(prisma: Prisma, repositoryId: string, number: number): Promise<Version> {
  const row = await prisma.version.findUnique({ where: { repositoryId_number: { repositoryId, number } } })
  if (!row) throw new Problem(404, 'version_not_found', `The repository has no version ${number}.`)
  return row
}
