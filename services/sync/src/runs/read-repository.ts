import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Digest } from '@berth/oci'

/** What the repository has: its tags, and the indexes that are not whole. */
export type RepositoryNow = { tags: ReadonlyMap<string, Digest>; sparse: ReadonlySet<Digest> }

const tagsPerPage = 10_000

/** Reads what a repository has now, to compare what upstream has with it. */
export async function readRepository(
  catalog: CommandClient<CatalogCommands>,
  repositoryId: string,
  signal: AbortSignal,
): Promise<RepositoryNow> {
  const tags = new Map<string, Digest>()
  let after: string | undefined
  do {
    const page = await catalog.call(
      'tags',
      { repositoryId, limit: tagsPerPage, ...(after === undefined ? {} : { after }) },
      { signal },
    )
    for (const { name, digest } of page.tags) tags.set(name, digest)
    after = page.tags.length === tagsPerPage ? page.tags.at(-1)?.name : undefined
  } while (after !== undefined)
  const { digests } = await catalog.call('sparse-indexes', { repositoryId }, { signal })
  return { tags, sparse: new Set(digests) }
}
