import type { CommandClient, IsolatedRepository, RegistryCommands } from '@berth/commands'
import { Problem, type Sql } from '@berth/service'

const mostListed = 100
const patienceMs = 2_000

/** Repositories that registry cannot follow, by name; null when registry does not answer. */
export async function isolatedRepositories(
  sql: Sql,
  registry: CommandClient<RegistryCommands>,
): Promise<(IsolatedRepository & { name: string | null })[] | null> {
  let isolated: IsolatedRepository[]
  try {
    isolated = (await registry.call('list-isolated-repositories', { limit: mostListed }, { timeoutMs: patienceMs }))
      .repositories
  } catch (error) {
    if (error instanceof Problem && error.status === 503) return null
    throw error
  }
  const named = await sql.query<{ id: string; name: string }>(
    'select id, name from repository where id = any($1::uuid[])',
    [isolated.map(({ id }) => id)],
  )
  const names = new Map(named.map(({ id, name }) => [id, name]))
  return isolated.map((one) => ({ ...one, name: names.get(one.id) ?? null }))
}
