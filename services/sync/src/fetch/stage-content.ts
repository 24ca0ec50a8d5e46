import type { CatalogCommands, CommandClient } from '@berth/commands'

/** Where catalog gathers a change until it is committed; a fence that is lower than the last one is refused. */
export type Stage = { catalog: CommandClient<CatalogCommands>; id: string; fence: number }

type Content = Partial<Omit<CatalogCommands['stage-content']['request'], 'stage' | 'fence'>>

/** Adds content to a stage. */
export async function stageContent(
  { catalog, id, fence }: Stage,
  content: Content,
  signal: AbortSignal,
): Promise<void> {
  await catalog.call('stage-content', { stage: id, fence, manifests: [], tags: [], ...content }, { signal })
}
