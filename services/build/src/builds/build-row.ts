import type { TaskError } from '@berth/commands'
import type { Actor, Sql } from '@berth/service'

type BuildState = 'waiting' | 'running' | 'completed' | 'failed' | 'cancelled'

/** What a build came to, as its task tells it. */
export type BuildResult = {
  repository: string
  version: number
  digest: string
  tags: string[]
  /** Whether all of its steps were taken from the cache. */
  cached: boolean
  durationMs: number
}

/** A build as its worker sees it. */
export type Build = {
  id: string
  taskId: string
  repository: string
  repositoryId: string | null
  tags: string[]
  platforms: string[]
  target: string | null
  network: 'none' | 'egress'
  noCache: boolean
  state: BuildState
  digest: string | null
  result: BuildResult | null
  error: TaskError | null
  createdBy: string
  createdById: string | null
}

/** The columns of `build` that make a `Build`. */
export const buildColumns = `id, task_id as "taskId", repository, repository_id as "repositoryId", tags, platforms, target, network,
  no_cache as "noCache", state, digest, result, error, created_by as "createdBy", created_by_id as "createdById"`

export async function readBuild(sql: Sql, id: string): Promise<Build | undefined> {
  const [build] = await sql.query<Build>(`select ${buildColumns} from build where id = $1`, [id])
  return build
}

/** Who started a build. */
export function actorOfBuild({ createdBy, createdById }: Pick<Build, 'createdBy' | 'createdById'>): Actor {
  return { id: createdById, name: createdBy }
}
