import type { AuthCommands, CommandClient, RegistryCommands } from '@berth/commands'
import { berth, type Database, type Logger } from '@berth/service'
import type { Work } from '@berth/worker'
import { careRights } from '../care-rights.ts'
import { applyRetention } from './apply.ts'

type Deps = {
  db: Database
  registry: CommandClient<RegistryCommands>
  auth: CommandClient<AuthCommands>
  log: Logger
}

const pageRows = 100

/**
 * Does the tasks of kind `retention`: applies the rules of all repositories. One after the other, so that no more than one of them makes
 * its pushes wait; one that fails is told of, and tried again with the next task.
 */
export function createRetentionWork({ db, registry, auth, log }: Deps): Work {
  return async (task, { signal, report, note }) => {
    const mayRemove = careRights(auth, task)
    const result = { repositories: 0, changed: 0, failed: 0 }
    report(() => [{ phase: 'repositories', done: result.repositories, total: null, unit: 'repositories' }])
    await mayRemove(signal)
    for await (const { id, name } of repositoriesWithRules(db)) {
      signal.throwIfAborted()
      await mayRemove(signal)
      result.repositories++
      try {
        const subject = { repositoryId: id, actor: task.actor.id === null ? berth : task.actor }
        // What was taken is served before more is: else registry falls behind, and pushes wait for it.
        const { plan, made } = await applyRetention(db, subject, {
          onVersion: async ({ revision }) => {
            await registry.call('follow-repository', { repositoryId: id, revision })
          },
        })
        if (!made) continue
        const { number: version, versions, removed } = made
        result.changed++
        note(
          `${name}: ${removed.tags} tags and ${removed.manifests} manifests were taken away, up to version ${version}`,
        )
        log.info('retention took content away', {
          repository: name,
          version,
          versions,
          source: plan.source,
          ...removed,
        })
      } catch (error) {
        result.failed++
        const detail = error instanceof Error ? error.message : String(error)
        note(`the rules of ${name} could not be applied`, { level: 'warn', detail })
        log.warn('retention of a repository failed', { repository: name, error })
      }
    }
    note(`the rules of ${result.repositories} repositories were applied, and ${result.changed} of them changed`)
    return { state: 'completed', result }
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
