import type { ApiReply } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { ServedGate } from '../served/wait-until-served.ts'
import { findVersion, showVersion } from '../versions/show.ts'

/** What a change of a repository is to be seen by before a client is told of it. */
export type Publishing = { gate: ServedGate; prisma: Prisma }

/**
 * Waits until a change of a repository is served, and answers with its version: 201 where it made one, and 200 with the present
 * one where there was nothing to change, which is no error. Throws 503 `not_yet_served`; the change stays.
 */
export async function publish(
  { gate, prisma }: Publishing,
  repositoryId: string,
  made: { number: number; revision: number; created: boolean },
): Promise<ApiReply & { body: ReturnType<typeof showVersion> }> {
  await gate.repository(repositoryId, made.revision, made.number)
  const body = showVersion(await findVersion(prisma, repositoryId, made.number))
  if (!made.created) return { status: 200, body }
  const location = `/api/v1/repositories/${repositoryId}/versions/${made.number}`
  return { status: 201, headers: { location }, body }
}
