import type { CatalogCommands, ServedRow } from '@berth/commands'
import { type Database, notFound, Problem, sqlState } from '@berth/service'
import { type QuotaUse, quotaWarning, withinQuota } from '../namespaces/quota.ts'
import { ensureRepository } from '../repositories/ensure.ts'
import { rowsAfter } from '../served/rows.ts'

type Link = CatalogCommands['link-blob']
type Linked = { id: string; name: string; revision: number; latestVersion: number } & {
  [Key in keyof QuotaUse]: number | null
}

/**
 * Links a blob whose bytes are durable to a repository, so that it can be read there and named by manifests. Linking again
 * changes nothing but the revision, so a repetition needs no command id.
 */
export async function linkBlob(db: Database, request: Link['request']): Promise<Link['reply']> {
  const { digest, generation, sizeBytes } = request.blob
  const link = async (sql: Pick<Database, 'prepared'>) => {
    const [row] = await sql.prepared<Linked>(
      'link-blob',
      `select id, name, revision, latest_version as "latestVersion", used_bytes as "usedBytes", quota_bytes as "quotaBytes"
       from link_blob($1, $2, $3, $4, $5, $6)`,
      [request.repository, digest, generation, sizeBytes, request.holder, request.ttlSeconds],
    )
    return row
  }
  // Where nothing is served yet, a distribution has to be made, and the repository perhaps.
  const linked = request.mayCreate ? undefined : await refusals(db, () => link(db))
  if (!linked) return linkToNew(db, request, link)
  const { id, usedBytes: _used, quotaBytes: _quota, ...head } = linked
  const rows: ServedRow[] = [
    { kind: 'head', repositoryId: id, from: head.revision - 1, ...head },
    { kind: 'blob-facts', digest, generation, sizeBytes },
    { kind: 'link', digest, linked: true },
  ]
  return { change: { repositoryId: id, revision: head.revision }, rows, ...warningOf(linked) }
}

/** The first blob under a name where nothing is served yet. */
async function linkToNew(
  db: Database,
  request: Link['request'],
  link: (sql: Pick<Database, 'prepared'>) => Promise<Linked | undefined>,
): Promise<Link['reply']> {
  return refusals(db, () =>
    db.transaction(async (sql) => {
      const repository = await ensureRepository(sql, request)
      const linked = repository && (await link(sql))
      if (!linked) throw notFound('repository', request.repository)
      const { id, name, revision, latestVersion } = linked
      const rows = await rowsAfter(sql, id, repository.known, { name, revision, latestVersion })
      return { change: { repositoryId: id, revision }, rows, ...warningOf(linked) }
    }),
  )
}

function warningOf({ name, usedBytes, quotaBytes }: Linked): { warning?: string } {
  if (usedBytes === null || quotaBytes === null) return {}
  const warning = quotaWarning(name, { usedBytes, quotaBytes })
  return warning === undefined ? {} : { warning }
}

async function refusals<T>(db: Database, work: () => Promise<T>): Promise<T> {
  try {
    return await withinQuota(db, work)
  } catch (cause) {
    if (sqlState(cause) !== 'BR001') throw cause
    throw new Problem(503, 'stale_lease', 'The lease of these bytes was lost; send them again.', { cause })
  }
}
