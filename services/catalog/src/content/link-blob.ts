import type { CatalogCommands, ServedRow } from '@berth/commands'
import { type Database, notFound, Problem, sqlState } from '@berth/service'
import { ensureRepository } from '../repositories/ensure.ts'
import { rowsAfter } from '../served/rows.ts'

type Link = CatalogCommands['link-blob']
type Linked = { id: string; name: string; revision: number; latestVersion: number }

/**
 * Links a blob whose bytes are durable to a repository, so that it can be read there and named by manifests. Linking again
 * changes nothing but the revision, so a repetition needs no command id.
 */
export async function linkBlob(db: Database, request: Link['request']): Promise<Link['reply']> {
  const { digest, generation, sizeBytes } = request.blob
  const link = async (sql: Pick<Database, 'prepared'>) => {
    const [row] = await sql.prepared<Linked>(
      'link-blob',
      'select id, name, revision, latest_version as "latestVersion" from link_blob($1, $2, $3, $4, $5, $6)',
      [request.repository, digest, generation, sizeBytes, request.holder, request.ttlSeconds],
    )
    return row
  }
  // Where nothing is served yet, a distribution has to be made, and the repository perhaps.
  const linked = request.mayCreate ? undefined : await staleGeneration(() => link(db))
  if (!linked) return linkToNew(db, request, link)
  const { id, ...head } = linked
  const rows: ServedRow[] = [
    { kind: 'head', repositoryId: id, from: head.revision - 1, ...head },
    { kind: 'blob-facts', digest, generation, sizeBytes },
    { kind: 'link', digest, linked: true },
  ]
  return { change: { repositoryId: id, revision: head.revision }, rows }
}

/** The first blob under a name where nothing is served yet. */
async function linkToNew(
  db: Database,
  request: Link['request'],
  link: (sql: Pick<Database, 'prepared'>) => Promise<Linked | undefined>,
): Promise<Link['reply']> {
  return staleGeneration(() =>
    db.transaction(async (sql) => {
      const repository = await ensureRepository(sql, request)
      const linked = repository && (await link(sql))
      if (!linked) throw notFound('repository', request.repository)
      const rows = await rowsAfter(sql, linked.id, repository.known, linked)
      return { change: { repositoryId: linked.id, revision: linked.revision }, rows }
    }),
  )
}

async function staleGeneration<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (sqlState(cause) !== 'BR001') throw cause
    throw new Problem(503, 'stale_lease', 'The lease of these bytes was lost; send them again.', { cause })
  }
}
