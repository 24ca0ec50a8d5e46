import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Database } from '@berth/service'
import type { SyncRun } from '../db/generated/client.ts'

/** A run and its repository. `nowhere` until its first content makes one: asked for that, catalog has nothing. */
export type PlacedRun = SyncRun & { repositoryId: string }

export const nowhere = '00000000-0000-0000-0000-000000000000'

/** Makes the run's repository, with a distribution, if it has none yet. */
export async function placeRun(
  { db, catalog }: { db: Database; catalog: CommandClient<CatalogCommands> },
  run: PlacedRun,
  signal: AbortSignal,
): Promise<void> {
  if (run.repositoryId !== nowhere) return
  const request = { name: run.repositoryName, actor: run.actor }
  const { repository } = await catalog.call('ensure-repository', request, { signal })
  // Noted before anything is committed there, so that whoever begins the run again goes on in the same place.
  await db.query('update sync_run set repository_id = $2 where id = $1', [run.id, repository.id])
  run.repositoryId = repository.id
}
