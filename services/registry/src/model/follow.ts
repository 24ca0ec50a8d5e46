import type { CatalogCommands, CommandClient, ServedDistribution, ServedPullThrough, ServedRow } from '@berth/commands'
import type { Database, Logger, Sql } from '@berth/service'
import type { Isolation } from './isolation.ts'
import { compareNamespaces, noteNamespace, noteNamespaceOf, readNamespaces } from './namespaces.ts'
import { forgetPullThrough, writePullThrough } from './pull-through.ts'
import { restoreServed } from './restore.ts'
import {
  applyChange,
  dropContent,
  forgetDistribution,
  forgetRepository,
  lockServed,
  moveHead,
  writeDistribution,
  writeRows,
} from './rows.ts'

/** Keeps the read model level with catalog. Every method may be called at any time, by any replica. */
export type Follower = {
  /** Applies rows that came with the reply to a command; fetches what they do not cover. */
  apply(repositoryId: string, rows: readonly ServedRow[]): Promise<void>
  /** Ends once the repository is followed up to this revision, or to the latest when none is named. */
  follow(repositoryId: string, revision?: number): Promise<void>
  /** Writes all of a repository anew in one transaction, at a revision that the model does not have yet. */
  rebuild(repositoryId: string, revision: number): Promise<void>
  followDistribution(distribution: ServedDistribution): Promise<void>
  followPullThrough(distribution: ServedPullThrough): Promise<void>
  followNamespace(name: string): Promise<void>
  forget(repositoryId: string): Promise<void>
  /** Compares everything with catalog and follows what has fallen behind. */
  followAll(): Promise<void>
  /**
   * Whether everything under this name was followed at least once since the start: only then is it really missing, if it is.
   * Without a name: whether everything was, but for what is isolated.
   */
  isComplete(basePath?: string): boolean
}

// As many as catalog sends at a time: they are written while it reads the next ones.
const batchRows = 1_000
// Far below the 256 MB that the elements of one jsonb array may have.
const batchBytes = 4 << 20
const catchUps = 8
type Head = Extract<ServedRow, { kind: 'head' }>

export function createFollower(options: {
  db: Database
  catalog: CommandClient<CatalogCommands>
  isolation: Isolation
  log: Logger
  /** Hears that a base path serves something else, or to others. */
  onPointed?: () => void
}): Follower {
  const { db, catalog, isolation, log, onPointed } = options
  let complete = false
  // Names of repositories that could not be followed at all: nothing is known of them, so they are not said to be missing.
  let unknownNames = new Set<string>()
  const running = new Map<string, Promise<void>>()

  const fetchRows = async (repositoryId: string) => {
    const [row] = await db.query<{ revision: number }>('select revision from served_repository where id = $1', [
      repositoryId,
    ])
    await applyStream(
      db,
      repositoryId,
      catalog.rows('list-served-rows', { repositoryId, afterRevision: row?.revision ?? 0 }),
    )
  }
  /** One fetch at a time for a repository; a call while one runs needs another, for that may have missed the change. */
  const fetchOnce = async (repositoryId: string) => {
    await running.get(repositoryId)?.catch(() => 'its own caller hears of it')
    const started = running.get(repositoryId)
    if (started) return started
    const fetching = isolation
      .attempt(repositoryId, () => fetchRows(repositoryId))
      .finally(() => running.delete(repositoryId))
    running.set(repositoryId, fetching)
    return fetching
  }

  const follower: Follower = {
    apply: async (repositoryId, rows) => {
      const [head, ...rest] = rows
      if (head?.kind !== 'head') throw new TypeError('served rows must begin with the head')
      if (head.from === 0 || rest.some((row) => row.kind === 'distribution')) {
        if (!(await applyStream(db, repositoryId, rows))) await fetchOnce(repositoryId)
      } else if ((await applyChange(db, head, rest)) === 'gap') await fetchOnce(repositoryId)
    },
    follow: async (repositoryId, revision) => {
      if (revision !== undefined && (await servedRevision(db, repositoryId)) >= revision) return
      await fetchOnce(repositoryId)
    },
    rebuild: async (repositoryId, revision) => {
      await applyStream(db, repositoryId, catalog.rows('list-served-rows', { repositoryId, afterRevision: 0 }))
      // Followed by another replica in between, it would be no newer, and nothing would have been written.
      await follower.follow(repositoryId, revision)
    },
    followDistribution: async (distribution) => {
      if (!distribution.deleted && (await servedRevision(db, distribution.repositoryId)) === 0)
        await fetchOnce(distribution.repositoryId)
      await db.transaction(async (sql) => {
        const { revision } = await lockServed(sql, distribution.repositoryId)
        // Told of late: its repository is gone, and nothing may be served under its path.
        if (revision === 0 && !distribution.deleted) return
        await writeDistribution(sql, distribution)
      })
      onPointed?.()
    },
    followPullThrough: (distribution) => db.transaction((sql) => writePullThrough(sql, distribution)),
    followNamespace: (name) => noteNamespace(db, name),
    forget: (repositoryId) => db.transaction((sql) => forgetRepository(sql, repositoryId)),
    followAll: async () => {
      const behind: string[] = []
      const seen = new Set<string>()
      const seenDistributions = new Set<string>()
      const changed: ServedDistribution[] = []
      const hosts: ServedPullThrough[] = []
      const namespaces = new Set<string>()
      // Read first: what we knew before catalog began to tell, and what it does not tell of, is gone.
      const known = await readKnown(db)
      const knownNamespaces = await readNamespaces(db)
      for await (const head of catalog.rows('list-served-heads', {})) {
        if (head.kind === 'repository') {
          seen.add(head.repositoryId)
          if ((known.repositories.get(head.repositoryId) ?? 0) < head.revision) behind.push(head.repositoryId)
          continue
        }
        if (head.kind === 'namespace') {
          namespaces.add(head.name)
          continue
        }
        seenDistributions.add(head.id)
        const before = known.distributions.get(head.id)
        // A list that left it out by mistake had it taken for gone.
        if (before?.isGone && !head.deleted) await db.query('delete from gone_distribution where id = $1', [head.id])
        else if ((before?.revision ?? 0) >= head.revision) continue
        if (head.kind === 'distribution') changed.push(head)
        else hosts.push(head)
      }
      await compareNamespaces(db, knownNamespaces, namespaces)
      // What was deleted goes first: its base path may have a new owner.
      for (const one of changed) if (one.deleted) await follower.followDistribution(one)
      for (const one of hosts) if (one.deleted) await follower.followPullThrough(one)
      // Catalog tells of deletions for some days only (docs/decisions/0021).
      for (const one of known.distributions.values())
        if (!one.isGone && !seenDistributions.has(one.id)) await forgetUntold(db, one)
      for (const one of hosts) if (!one.deleted) await follower.followPullThrough(one)
      const spared = (id: string) => isolation.spare(id, () => fetchOnce(id))
      await inParallel(behind, catchUps, spared)
      const unknown = new Set<string>()
      for (const one of changed) {
        if (one.deleted || !seen.has(one.repositoryId)) continue
        await isolation.spare(one.repositoryId, () => follower.followDistribution(one))
        if ((await servedRevision(db, one.repositoryId)) === 0) unknown.add(one.basePath)
      }
      for (const id of known.repositories.keys()) if (!seen.has(id)) await spared(id)
      if (behind.length > 0) log.info('read model caught up', { repositories: behind.length })
      unknownNames = unknown
      complete = true
    },
    isComplete: (basePath) => complete && (basePath === undefined || !unknownNames.has(basePath)),
  }
  return follower
}

type Known = { id: string; revision: number }
/** `repositoryId`: null for a host, and for what is gone. */
type KnownDistribution = Known & { repositoryId: string | null; isGone: boolean }

/** How far the model has followed each repository and each distribution, those that are gone too. */
async function readKnown(
  db: Database,
): Promise<{ repositories: Map<string, number>; distributions: Map<string, KnownDistribution> }> {
  const [repositories, distributions] = await Promise.all([
    db.query<Known>('select id, revision from served_repository'),
    db.query<KnownDistribution>(
      `select distribution_id as id, distribution_revision as revision, repository_id as "repositoryId", false as "isGone"
       from pointer
       union all
       select id, revision, null, false
       from pull_through
       union all
       select id, revision, null, true
       from gone_distribution`,
    ),
  ])
  return {
    repositories: new Map(repositories.map(({ id, revision }) => [id, revision])),
    distributions: new Map(distributions.map((one) => [one.id, one])),
  }
}

/** Forgets a distribution that catalog has no more. An id does not come back, so nothing newer can be lost. */
async function forgetUntold(db: Database, { repositoryId, ...one }: KnownDistribution): Promise<void> {
  await db.transaction(async (sql) => {
    if (repositoryId === null) return forgetPullThrough(sql, one)
    await lockServed(sql, repositoryId)
    await forgetDistribution(sql, one)
  })
}

async function servedRevision(db: Database, repositoryId: string): Promise<number> {
  const [row] = await db.prepared<{ revision: number }>(
    'served-revision',
    'select revision from served_repository where id = $1',
    [repositoryId],
  )
  return row?.revision ?? 0
}

async function inParallel<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const workers = Array.from({ length: width }, async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  })
  await Promise.all(workers)
}

/**
 * Applies rows in one transaction, so that readers see all of a change or nothing. The rows say from which revision they
 * tell: what lies above the model's own would leave a gap, and is refused (false). Rows that tell old news change nothing.
 */
async function applyStream(
  db: Database,
  repositoryId: string,
  rows: AsyncIterable<ServedRow> | readonly ServedRow[],
): Promise<boolean> {
  const iterator = Array.isArray(rows)
    ? rows[Symbol.iterator]()
    : (rows as AsyncIterable<ServedRow>)[Symbol.asyncIterator]()
  try {
    const first = (await iterator.next()).value as ServedRow | undefined
    // By itself, for others are noted in the same namespace while all of a large repository is written.
    if (first?.kind === 'head' && first.from === 0) await noteNamespaceOf(db, first.name)
    return await db.transaction((sql) => applyRows(sql, repositoryId, first, iterator))
  } finally {
    await iterator.return?.()
  }
}

type Rows = Iterator<ServedRow> | AsyncIterator<ServedRow>

async function applyRows(sql: Sql, repositoryId: string, first: ServedRow | undefined, rest: Rows): Promise<boolean> {
  if (first?.kind === 'gone') {
    await forgetRepository(sql, repositoryId)
    return true
  }
  if (first?.kind !== 'head') throw new TypeError('served rows must begin with the head')
  const served = await lockServed(sql, repositoryId)
  if (first.revision <= served.revision) return true
  if (first.from > served.revision) return false
  // All that there is: what we have beyond it was over before we heard of its end.
  if (first.from === 0 && served.revision > 0) await dropContent(sql, repositoryId)
  await writeAll(sql, first, rest)
  return true
}

const smallRowBytes = 300

/** About how large a row is as JSON. Most are small; what may be large in the others is counted. */
function sizeOf(row: ServedRow): number {
  if (row.kind === 'signature') return smallRowBytes + row.content.length
  if (row.kind !== 'manifest-facts') return smallRowBytes
  return Object.entries(row.annotations).reduce(
    (sum, [key, value]) => sum + key.length + value.length,
    2 * smallRowBytes,
  )
}

async function writeAll(sql: Sql, head: Head, rest: Rows): Promise<void> {
  // Pointers of new distributions copy the head's row, so the head moves first.
  let writing: Promise<unknown> = moveHead(sql, head)
  writing.catch(() => undefined)
  let batch: ServedRow[] = []
  let bytes = 0
  for (let next = await rest.next(); !next.done; next = await rest.next()) {
    if (next.value.kind === 'restored') await restoreServed(sql, head.repositoryId, next.value)
    else batch.push(next.value)
    bytes += sizeOf(next.value)
    if (batch.length < batchRows && bytes < batchBytes) continue
    await writing
    // Written while the next ones are read.
    writing = writeRows(sql, head.repositoryId, batch)
    writing.catch(() => undefined)
    batch = []
    bytes = 0
  }
  await Promise.all([writing, writeRows(sql, head.repositoryId, batch)])
}
