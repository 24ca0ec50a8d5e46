import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { inBatches } from '../fetch/in-parallel.ts'

/** What the repository has: its tags, and the indexes that are not whole. */
export type RepositoryNow = { tags: ReadonlyMap<string, Digest>; sparse: ReadonlySet<Digest> }

type Catalog = CommandClient<CatalogCommands>

const tagsPerPage = 10_000
const membersAtOnce = 5_000
const rootsAtOnce = 1_000

/** Reads what a repository has now, to compare what upstream has with it. */
export async function readRepository(
  catalog: Catalog,
  repositoryId: string,
  signal: AbortSignal,
): Promise<RepositoryNow> {
  const tags = new Map<string, Digest>()
  let after: string | undefined
  do {
    const page = await catalog.call(
      'list-tags',
      { repositoryId, limit: tagsPerPage, ...(after === undefined ? {} : { after }) },
      { signal },
    )
    for (const { name, digest } of page.tags) tags.set(name, digest)
    after = page.tags.length === tagsPerPage ? page.tags.at(-1)?.name : undefined
  } while (after !== undefined)
  const { digests } = await catalog.call('list-sparse-indexes', { repositoryId }, { signal })
  return { tags, sparse: new Set(digests) }
}

/** Which of these manifests a repository has. */
export async function readMembers(
  catalog: Catalog,
  repositoryId: string,
  digests: readonly Digest[],
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const members = new Set<Digest>()
  for (const some of inBatches(digests, membersAtOnce))
    for (const digest of (await catalog.call('list-members', { repositoryId, digests: some }, { signal })).digests)
      members.add(digest)
  return members
}

/** What a repository has of these manifests and below them, save below those that are `childless`. */
export async function readClosure(
  catalog: Catalog,
  repositoryId: string,
  roots: ReadonlySet<Digest>,
  { companions, childless }: { companions: boolean; childless?: ReadonlySet<Digest> },
  signal: AbortSignal,
): Promise<Digest[]> {
  const found = new Set<Digest>()
  for (const digests of inBatches([...roots], rootsAtOnce)) {
    const left = digests.filter((digest) => childless?.has(digest))
    const request = { repositoryId, digests, companions, childless: left }
    const reply = await catalog.call('find-closure', request, { signal })
    for (const digest of reply.digests) found.add(digest)
  }
  return [...found]
}
