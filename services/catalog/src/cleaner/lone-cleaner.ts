import type { BlobStore } from '@berth/blobs'
import { type Loop, startLoop } from '@berth/bus'
import { type Database, type Logger, Problem } from '@berth/service'

const note = 'berth-cleaner.json'
const renewEveryMs = 60_000
// A deletion looks again after this time: another installation may have begun to delete meanwhile.
const trustedMs = 10_000
const foreignSeconds = 300

type Mark = { mark: string; at: string }

/** Whether this installation is the only one that deletes in its store. */
export type LoneCleaner = {
  /** Looks now, and renews the mark. */
  look(): Promise<boolean>
  /** Throws 409 `store_shared` while another installation deletes there too. */
  assertAlone(): Promise<void>
  isAlone(): Promise<boolean>
  /** What the last look found. */
  wasAlone(): boolean
}

/**
 * Watches over the one thing that two installations on one store must not do both: delete. A mark in the store and in the
 * database is made anew each minute. Another database with the same identity, such as a copy of ours, makes marks that ours does
 * not know; while one is younger than five minutes nothing is deleted. Replicas have one database, and so the same marks.
 */
export function createLoneCleaner(db: Database, blobs: BlobStore, log: Logger): LoneCleaner {
  let lastLook: { at: number; alone: boolean } | undefined
  const look = async () => {
    const alone = await renewMark(db, blobs)
    if (!alone && lastLook?.alone !== false)
      log.error('another installation deletes in this blob store; nothing is deleted until it has stopped', {})
    if (alone && lastLook?.alone === false) log.info('the blob store is ours alone again; deleting goes on', {})
    lastLook = { at: performance.now(), alone }
    return alone
  }
  const isAlone = async () => {
    if (lastLook && performance.now() - lastLook.at < trustedMs) return lastLook.alone
    return look()
  }
  return {
    look,
    isAlone,
    wasAlone: () => lastLook?.alone !== false,
    assertAlone: async () => {
      if (await isAlone()) return
      throw new Problem(409, 'store_shared', 'Another installation deletes in the same blob store.', {
        hint: 'Give one of them a store of its own. Five minutes after the other has stopped, deleting goes on.',
      })
    },
  }
}

/** Looks at the mark each minute, for as long as the process runs. */
export function startRenewing(cleaner: LoneCleaner, log: Logger): Loop {
  return startLoop({
    pollMs: renewEveryMs,
    pauseAfterFailureMs: renewEveryMs,
    onError: (error) => log.warn('the mark of who deletes in the store will be renewed later', { error }),
    run: async () => void (await cleaner.look()),
  })
}

/** The store, from which this one deletes only while no other installation does; all code that removes objects gets it. */
export function deletingAlone(blobs: BlobStore, cleaner: LoneCleaner): BlobStore {
  return {
    ...blobs,
    remove: async (key) => {
      await cleaner.assertAlone()
      return blobs.remove(key)
    },
  }
}

/**
 * Puts a new mark into store and database, and answers whether the one it found was ours, or too old to be in use. Which
 * mark comes next was committed the time before: killed between store and database, the store has one that is ours. Replicas
 * take turns by the row.
 */
export async function renewMark(db: Database, blobs: BlobStore): Promise<boolean> {
  return db.transaction(async (sql) => {
    const [own] = await sql.query<{ mark: string; next: string; now: Date }>(
      'select mark, next_mark as next, clock_timestamp() as now from store_identity for update',
    )
    if (!own) throw new Error('this installation has no identity; it is made at the start')
    const found = readMark(await blobs.readNote(note))
    const isOurs = !found || found.mark === own.mark || found.mark === own.next
    // Of a clock that is ahead of ours the mark seems to be of the future; that is as good as new.
    if (!isOurs && own.now.getTime() - Date.parse(found.at) < foreignSeconds * 1_000) return false
    await blobs.writeNote(note, `${JSON.stringify({ mark: own.next, at: own.now.toISOString() })}\n`)
    await sql.query('update store_identity set mark = next_mark, next_mark = gen_random_uuid()')
    return true
  })
}

function readMark(text: string | undefined): Mark | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as Mark)
}
