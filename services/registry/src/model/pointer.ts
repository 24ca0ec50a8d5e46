import type { Database } from '@berth/service'
import { LRUCache } from 'lru-cache'
import { isIntact } from './intact.ts'
import { type PullThrough, pullThroughOf } from './pull-through.ts'

/** What is served under a base path at this moment. The epoch names this state: whatever is found under it never changes. */
export type Pointer = {
  basePath: string
  distributionId: string
  repositoryId: string
  repositoryName: string
  pinned: number | null
  /** The version up to which intervals are read: one above the latest where loose manifests are served too. */
  bound: number
  epoch: string
  isPublic: boolean
  redirect: boolean
  /** What those who pull are told. */
  warning: string | null
  /** Whether clients that know nothing newer get images as Docker schema 1. */
  convertToSchema1: boolean
  /** The host that it came from when it was pulled, and is asked whether a tag moved. */
  pullThrough: PullThrough | null
}

/** Pointers as they were a second ago at most, by base path. It is emptied when this process hears of another distribution. */
export type LatelyServed = LRUCache<string, Pointer>

export function createLatelyServed(): LatelyServed {
  return new LRUCache({ max: latelyNames, ttl: latelyMs })
}

const latelyNames = 10_000
const latelyMs = 1_000

type Row = Omit<Pointer, 'bound' | 'epoch' | 'isPublic'> & {
  latestVersion: number
  repositoryRevision: number
  distributionRevision: number
  access: string
}
// One row at least, for also of a name that is not served it has to be known whether that is so.
type Answer = ({ isIntact: boolean } & Row) | { isIntact: boolean; basePath: null }
type Waiter = { resolve: (pointer: Pointer | undefined) => void; reject: (error: unknown) => void }

const query = `
  select model.intact as "isIntact", base_path as "basePath", distribution_id as "distributionId", repository_id as "repositoryId",
    repository_name as "repositoryName", pinned, latest_version as "latestVersion",
    repository_revision as "repositoryRevision", distribution_revision as "distributionRevision", access, redirect, warning,
    convert_to_schema1 as "convertToSchema1",
    (select ${pullThroughOf('pull_through')} from pull_through where pull_through.id = pointer.via) as "pullThrough"
  from (select ${isIntact} as intact) as model
  left join pointer on base_path = any($1)`
const mostRunning = 2

/**
 * Reads pointers, freshly for each request, at the price of one query for all that wait. A request joins the next query to
 * start and never one already running: so each sees the state at or after its own arrival, and no replica can serve what
 * was replaced before the request came (docs/flows/pull.md). After a crash of PostgreSQL `ensureIntact` ends before anything is read.
 */
export function createPointerReader(
  db: Database,
  ensureIntact: () => Promise<void>,
): (basePath: string) => Promise<Pointer | undefined> {
  let waiting = new Map<string, Waiter[]>()
  let running = 0

  const flush = async () => {
    if (waiting.size === 0 || running >= mostRunning) return
    const batch = waiting
    waiting = new Map()
    running++
    try {
      const names = [...batch.keys()]
      const read = () => db.prepared<Answer>('pointers', query, [names])
      let rows = await read()
      while (!rows[0]?.isIntact) {
        await ensureIntact()
        rows = await read()
      }
      const found = new Map(
        rows.flatMap((row) => (row.basePath === null ? [] : [[row.basePath, toPointer(row)] as const])),
      )
      for (const [basePath, waiters] of batch) for (const { resolve } of waiters) resolve(found.get(basePath))
    } catch (error) {
      for (const waiters of batch.values()) for (const { reject } of waiters) reject(error)
    } finally {
      running--
      if (waiting.size > 0) begin()
    }
  }

  // Its failures are those of the requests that wait for it.
  const begin = () => void flush().catch(() => 'told to each waiter')

  return (basePath) =>
    new Promise((resolve, reject) => {
      const others = waiting.get(basePath)
      if (others) others.push({ resolve, reject })
      else waiting.set(basePath, [{ resolve, reject }])
      if (running < mostRunning) setImmediate(begin)
    })
}

function toPointer(answer: Row & { isIntact: boolean }): Pointer {
  const { isIntact: _seen, latestVersion, repositoryRevision, distributionRevision, access, ...row } = answer
  return {
    ...row,
    bound: row.pinned ?? latestVersion + 1,
    epoch: `${repositoryRevision}.${distributionRevision}`,
    isPublic: access === 'public',
  }
}
