import { type Loop, startLoop } from '@berth/bus'
import type { CommandClient, RegistryCommands } from '@berth/commands'
import { berth, type Database, type Logger } from '@berth/service'
import { applyRetention } from './apply.ts'

const pageRows = 100
const pauseAfterFailureMs = 60_000

/**
 * Applies the rules of all repositories now and then every so often. One repository after the other, so that no more than one
 * of them makes its pushes wait; one that fails is told of and tried again with the next round.
 */
export function startRetention(
  deps: { db: Database; registry: CommandClient<RegistryCommands>; log: Logger },
  intervalSeconds: number,
): Loop {
  return startLoop({
    pollMs: intervalSeconds * 1000,
    pauseAfterFailureMs,
    onError: (error) => deps.log.warn('retention will be tried again', { error }),
    run: (signal) => retainAll(deps, signal),
  })
}

async function retainAll(
  { db, registry, log }: Parameters<typeof startRetention>[0],
  signal: AbortSignal,
): Promise<void> {
  for await (const { id, name } of repositoriesWithRules(db)) {
    if (signal.aborted) return
    try {
      const subject = { repositoryId: id, actor: berth }
      // What was taken is served before more is: else registry falls behind, and pushes wait for it.
      const { plan, made } = await applyRetention(db, subject, {
        onVersion: async ({ revision }) => {
          await registry.call('follow-repository', { repositoryId: id, revision })
        },
      })
      if (!made) continue
      const { number: version, versions, removed } = made
      log.info('retention took content away', { repository: name, version, versions, source: plan.source, ...removed })
    } catch (error) {
      log.warn('retention of a repository failed', { repository: name, error })
    }
  }
}

async function* repositoriesWithRules(db: Database): AsyncIterable<{ id: string; name: string }> {
  for (let after = '00000000-0000-0000-0000-000000000000'; ; ) {
    const rows = await db.query<{ id: string; name: string }>(
      `select repository.id, repository.name
       from repository
       left join namespace on namespace.name = split_part(repository.name, '/', 1)
       where coalesce(repository.retention, namespace.retention) is not null
         and repository.id > $1
       order by repository.id
       limit $2`,
      [after, pageRows],
    )
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return
    after = last.id
  }
}
