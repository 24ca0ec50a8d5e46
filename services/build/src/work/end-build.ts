import type { CatalogCommands, ClaimedTask, CommandClient, TaskError } from '@berth/commands'
import { type Database, type Logger, Problem } from '@berth/service'
import { type ErrorOutcome, type Outcome, outcomeOfError, TaskLost } from '@berth/worker'
import { type Build, readBuild } from '../builds/build-row.ts'
import { recordFailure, recordSuccess, withoutAnsi } from '../builds/record-build.ts'
import { letGo } from '../inputs/keep-context.ts'
import { commitImage } from '../result/commit.ts'

export type EndDeps = { db: Database; catalog: CommandClient<CatalogCommands>; log: Logger }

const longestMessage = 4_000

/** Notes that a build came to its end, and lets go of what it held. */
export async function succeed(
  deps: EndDeps,
  build: Build,
  made: { version: number; cached: boolean },
): Promise<Outcome> {
  const result = await recordSuccess(deps.db, build, made)
  await letGo(deps, build.id)
  deps.log.info('image built', { build: build.id, ...result })
  return { state: 'completed', result }
}

/** Notes how an error ended a build. Throws what ends none: another worker goes on with the task, or it is tried again. */
export async function endByError(
  deps: EndDeps,
  build: Build,
  task: ClaimedTask,
  error: unknown,
  signal: AbortSignal,
): Promise<Outcome> {
  const ended = outcomeOfError(error, { task, signal, log: deps.log, cancelled, explain })
  try {
    return await giveUp(deps, build, task, ended)
  } catch (cause) {
    // Whether the commit won is catalog's to say, and it did not. The next worker of the task asks again.
    throw new TaskLost('the end of a build could not be recorded', { cause })
  }
}

const cancelled = 'The build was cancelled; nothing of it is visible.'

function explain(error: unknown): TaskError | undefined {
  if (!(error instanceof Problem)) return undefined
  const text = [error.message, error.options.hint].filter(Boolean).join(' ')
  return { code: error.code, message: withoutAnsi(text).slice(0, longestMessage).toWellFormed() }
}

/** Ends a build that did not come to its commit; if the commit was faster than the cancel, it has succeeded after all. */
async function giveUp(deps: EndDeps, build: Build, { fence }: ClaimedTask, ended: ErrorOutcome): Promise<Outcome> {
  const { db, catalog, log } = deps
  const { committed } = await catalog.call('close-stage', { stage: build.id, fence })
  const now = await readBuild(db, build.id)
  if (committed && now?.repositoryId) {
    const { version } = await commitImage(catalog, { build: now, fence, repositoryId: now.repositoryId })
    return succeed(deps, now, { version, cached: now.result?.cached ?? false })
  }
  await db.transaction(async (sql) => void (await recordFailure(sql, now ?? build, ended.state, ended.error)))
  await letGo(deps, build.id)
  log.info('build ended without an image', {
    build: build.id,
    repository: build.repository,
    code: ended.error.code,
    reason: ended.error.message,
  })
  return ended
}
