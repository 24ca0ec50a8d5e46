import { setTimeout as delay } from 'node:timers/promises'
import type { Database, Logger } from '@berth/service'
import { headers } from 'nats'
import { type Bus, ensureEventStream, isNatsAway } from './connection.ts'
import { type MarkEvent, marksHeader } from './event-marks.ts'
import type { EventSource } from './events/event.ts'
import { jumpAfterRestore, jumpBeyond } from './jump.ts'
import { lastAnnounced } from './last-announced.ts'
import { startLoop } from './loop.ts'
import type { EventCounts } from './measure-events.ts'
import { eventsRecorded, type OutboxRow, placeEvents, pruneDeadLetters, pruneOutbox } from './outbox.ts'

const pollMs = 1_000
const pauseAfterFailureMs = 1_000
const batchRows = 200
// Of 256 KiB at most.
const atOnce = 20
// Changes often come in rows, and what is announced together costs little more than one. The first after a rest is not kept waiting, nor
// what others decide by.
const gatherMs = 25
const gatherInRowMs = 250
const pruneEveryMs = 3_600_000
const defaultKeptDays = 30
// Mostly nothing is, and that is one look into two small indexes instead of a lock and a transaction.
const isAnythingWaiting = `
  select exists (select from outbox where position is null) as unplaced,
         exists (select from outbox where published_at is null) as unpublished`

export type Relay = { stop(): Promise<void> }

/**
 * Publishes the outbox of a service, in the order of its positions, each event with its id as message id: at once after a
 * commit of this process that recorded events, and within a second after one of another replica. An event counts as published
 * only once the server has acknowledged it; until then it is sent again (at least once). When the stream had to be made anew,
 * because the server lost its store, all that the outbox still holds is sent once more. When the stream knows more than the
 * database, which was restored, positions jump beyond it; with `restored` they do in any case, once for each such name.
 */
export function startRelay(options: {
  db: Database
  bus: Bus
  source: EventSource
  log: Logger
  deadLetterKeptDays?: number | undefined
  restored?: string | undefined
  /** Marks what is announced for those who follow. */
  mark?: MarkEvent
  counts?: EventCounts
}): Relay {
  const { db, bus, source, log, restored, mark } = options
  let streamChecked = false
  let restoreNoted = restored === undefined
  let prunedAt = performance.now()
  let announcedAt = Number.NEGATIVE_INFINITY
  const forgetStream = bus.onReconnect(() => {
    streamChecked = false
    loop.wake()
  })
  const waiting = { isUrgent: false }
  const forgetCommits = db.onCommit(eventsRecorded, (recorded) => {
    waiting.isUrgent ||= recorded.some(({ isUrgent }) => isUrgent)
    loop.wake()
  })
  const loop = startLoop({
    pollMs,
    run: pass,
    onError: (error) => {
      if (!isNatsAway(error)) log.warn('events will be announced later', { error })
    },
    pauseAfterFailureMs,
  })

  async function pass(signal: AbortSignal): Promise<void> {
    await gather()
    await noteRestore()
    const [outbox] = await db.query<{ unplaced: boolean; unpublished: boolean }>(isAnythingWaiting)
    if (outbox?.unplaced) await db.transaction(placeEvents)
    else if (streamChecked && !outbox?.unpublished) return pruneNowAndThen()
    if (!streamChecked) {
      await checkStream()
      streamChecked = true
    }
    let rows: OutboxRow[]
    do {
      rows = await db.query<OutboxRow>(
        `select id, position, subject, event
         from outbox
         where published_at is null
           and position is not null
         order by position
         limit $1`,
        [batchRows],
      )
      await publish(rows, signal)
    } while (rows.length === batchRows && !signal.aborted)
    await pruneNowAndThen()
  }

  async function gather(): Promise<void> {
    const isInRow = performance.now() - announcedAt < 2 * gatherInRowMs
    const until = performance.now() + (isInRow ? gatherInRowMs : gatherMs)
    do await delay(gatherMs)
    while (performance.now() < until && !waiting.isUrgent)
    waiting.isUrgent = false
  }

  async function checkStream(): Promise<void> {
    if ((await ensureEventStream(bus, source)) === 'made') {
      await db.query('update outbox set published_at = null where published_at is not null')
      return
    }
    const last = await lastAnnounced(bus, source)
    const head = last && (await db.transaction((sql) => jumpBeyond(sql, last)))
    if (head !== undefined)
      log.warn('the stream has events that this database does not know; sequences go on beyond them', { source, head })
  }

  // Before anything gets a position, for consumers do not wait until it is announced.
  async function noteRestore(): Promise<void> {
    if (restoreNoted || restored === undefined) return
    const head = await db.transaction((sql) => jumpAfterRestore(sql, restored))
    if (head !== undefined) log.info('sequences of events go on beyond those before the restore', { source, head })
    restoreNoted = true
  }

  async function pruneNowAndThen(): Promise<void> {
    if (performance.now() - prunedAt <= pruneEveryMs) return
    await pruneOutbox(db.background)
    await pruneDeadLetters(db.background, options.deadLetterKeptDays ?? defaultKeptDays)
    prunedAt = performance.now()
  }

  async function publish(rows: OutboxRow[], signal: AbortSignal): Promise<void> {
    const done: string[] = []
    try {
      for (let first = 0; first < rows.length && !signal.aborted; first += atOnce)
        await publishTogether(rows.slice(first, first + atOnce), done)
    } catch (error) {
      streamChecked = false
      throw error
    } finally {
      options.counts?.published(done.length)
      if (done.length > 0) {
        announcedAt = performance.now()
        // Not flushed: lost in a crash of PostgreSQL, they are sent again under the same ids.
        await db.query(
          `with committing as (select set_config('synchronous_commit', 'off', true))
           update outbox
           set published_at = now()
           from committing
           where id = any($1)`,
          [done],
        )
      }
    }
  }

  /**
   * Sends some without waiting for each to be acknowledged. All but the first say after which one they come, and the server takes none
   * that does not follow it: a later event never overtakes an earlier one that was not taken.
   */
  async function publishTogether(rows: readonly OutboxRow[], done: string[]): Promise<void> {
    const sent = rows.map((row, i) => publishOne(bus, row, { mark, after: rows[i - 1]?.id }))
    const results = await Promise.allSettled(sent)
    const failed = results.findIndex(({ status }) => status === 'rejected')
    done.push(...rows.slice(0, failed < 0 ? rows.length : failed).map(({ id }) => id))
    const failure = results[failed]
    if (failure?.status === 'rejected') throw failure.reason
  }

  return {
    stop: async () => {
      forgetStream()
      forgetCommits()
      await loop.stop()
    },
  }
}

async function publishOne(
  bus: Bus,
  row: OutboxRow,
  { mark, after }: { mark: MarkEvent | undefined; after: string | undefined },
): Promise<void> {
  const event = { ...row.event, sequence: String(row.position) }
  const { data, ...attributes } = event as Record<string, unknown>
  const head = headers()
  for (const [name, value] of Object.entries(attributes)) head.set(`ce-${name}`, String(value))
  head.set('content-type', 'application/cloudevents+json')
  if (typeof attributes.traceparent === 'string') head.set('traceparent', attributes.traceparent)
  const text = JSON.stringify({ ...attributes, data })
  if (mark) head.set(marksHeader, mark(text))
  await bus.jetstream.publish(row.subject, text, {
    msgID: row.id,
    headers: head,
    ...(after === undefined ? {} : { expect: { lastMsgID: after } }),
  })
}
