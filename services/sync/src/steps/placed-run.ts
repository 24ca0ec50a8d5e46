import type { SyncRun } from '../db/generated/client.ts'

/** A run and its repository. `nowhere` until its first content makes one: asked for that, catalog has nothing. */
export type PlacedRun = SyncRun & { repositoryId: string }

export const nowhere = '00000000-0000-0000-0000-000000000000'
