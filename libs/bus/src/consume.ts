import type { Logger, Sql, Transaction } from '@berth/service'
import { isNatsAway } from './connection.ts'
import type { CloudEvent } from './events/event.ts'
import { lockPosition, readPosition, savePosition } from './inbox.ts'
import { isStreamMissing, type Listening, listenToStream } from './listen-to-stream.ts'
import { startLoop } from './loop.ts'
import type { EventCounts } from './measure-events.ts'
import type { OutboxPage } from './outbox.ts'
import { inSpanOf, withoutTrace } from './trace-events.ts'

/** What a consumer asks the owner of the events when the stream may have left something out. */
type EventOwner = {
  /** `signal` ends the wait for an owner that is away. */
  eventsAfter(position: number, signal: AbortSignal): Promise<OutboxPage>
}

export type ConsumeOptions = Listening & {
  log: Logger
  /** The service that handles, for its spans. */
  service?: string
  owner: EventOwner
  /** The effect of an event, in the transaction that notes it as handled; answers `nothing` where it had none. */
  handle: (sql: Transaction, event: CloudEvent) => Promise<unknown>
  /** The effect of several that follow each other, where that is cheaper; when it fails they are handled one by one. */
  handleTogether?: (sql: Transaction, events: readonly CloudEvent[]) => Promise<void>
  /** Learns from others what the effect of an event needs, before its transaction, and as often as it takes. */
  prepare?: (event: CloudEvent) => Promise<void>
  /** Takes the present state instead, when events that were missed are no longer kept. */
  takeSnapshot?: (sql: Sql) => Promise<void>
  /** How long to wait after a failure; a second when absent. */
  pauseAfterFailureMs?: number
  counts?: EventCounts
}

export type Consumer = { stop(): Promise<void> /** Asks the owner now. */; catchUp(): void }

const catchUpEveryMs = 60_000
const attempts = 10
const defaultPauseMs = 1_000

/**
 * Handles every event of a source exactly once in effect and in order. The inbox row holds the position up to which this
 * consumer is done and moves in the same transaction as the effect; a redelivery is below it, and a gap above it is filled
 * from the owner. So it does not matter what NATS loses, repeats or forgets: it is only the doorbell.
 */
export function startConsumer(options: ConsumeOptions): Consumer {
  const { log, consumer, pauseAfterFailureMs = defaultPauseMs } = options
  const failures = new Map<number, number>()
  const catchUpLoop = startLoop({
    pollMs: catchUpEveryMs,
    pauseAfterFailureMs,
    run: (signal) => catchUp(options, failures, signal),
    onError: (error) => log.warn('catching up will be tried again', { consumer, error }),
  })
  const listening = new AbortController()
  const messages = startLoop({
    pollMs: pauseAfterFailureMs,
    pauseAfterFailureMs,
    run: (signal) =>
      listenToStream(options, AbortSignal.any([signal, listening.signal]), async (events, isTrusted) => {
        if (!isTrusted || !(await handleIfNext(options, failures, events))) catchUpLoop.wake()
      }),
    onError: (error) => {
      if (!isStreamMissing(error) && !isNatsAway(error)) log.warn('consumer will connect again', { consumer, error })
    },
  })
  const forget = options.bus.onReconnect(() => catchUpLoop.wake())
  return {
    catchUp: catchUpLoop.wake,
    stop: async () => {
      forget()
      listening.abort()
      await Promise.all([messages.stop(), catchUpLoop.stop()])
    },
  }
}

/**
 * Handles what messages tell, as far as they are the next events. Answers false when the owner has to be asked: events
 * before one are missing, one is no event of ours, or one failed. A failure is tried again there, with a pause, and not by
 * redelivery: the messages behind it would wait for the server's patience to end.
 */
async function handleIfNext(
  options: ConsumeOptions,
  failures: Map<number, number>,
  events: (CloudEvent | undefined)[],
): Promise<boolean> {
  const ours = events.flatMap((event) => {
    const position = Number(event?.sequence)
    return event && Number.isSafeInteger(position) ? [{ position, event }] : []
  })
  if (ours.length < events.length) options.counts?.consumed(options.consumer, 'foreign', events.length - ours.length)
  try {
    for (const { event } of ours) await options.prepare?.(event)
    return (await handleNext(options, failures, ours)) && ours.length === events.length
  } catch (error) {
    const eventId = ours.length === 1 ? ours[0]?.event.id : undefined
    options.log.warn('events will be tried again', { consumer: options.consumer, eventId, error })
    return false
  }
}

async function catchUp(options: ConsumeOptions, failures: Map<number, number>, signal: AbortSignal): Promise<void> {
  for (;;) {
    const position = await readPosition(options.db, options)
    const { events, tooOld, head, jumpedTo } = await options.owner.eventsAfter(position, signal)
    if (jumpedTo !== undefined) {
      await jump(options, position, jumpedTo)
      continue
    }
    if (tooOld) {
      await skipTo(options, position, head)
      continue
    }
    // One by one: among events that failed together this finds the one to set aside.
    for (const row of events) {
      if (signal.aborted) return
      const event = { ...(row.event as CloudEvent), sequence: String(row.position) }
      await options.prepare?.(event)
      await handleNext(options, failures, [{ position: row.position, event }])
    }
    if (events.length === 0) return
  }
}

async function jump(options: ConsumeOptions, from: number, to: number): Promise<void> {
  await options.db.transaction(async (sql) => {
    // Another replica may have been faster, and be further than this by now.
    if ((await lockPosition(sql, options)) === from) await savePosition(sql, options, to)
  })
}

async function skipTo(options: ConsumeOptions, from: number, head: number): Promise<void> {
  options.log.warn('events were missed for too long; taking the present state', { consumer: options.consumer, head })
  await options.db.transaction(async (sql) => {
    if ((await lockPosition(sql, options)) !== from) return
    await options.takeSnapshot?.(sql)
    await savePosition(sql, options, head)
  })
}

type Placed = { position: number; event: CloudEvent }

/** Handles events that follow each other, in one transaction. Answers false when some before one of them are missing. */
async function handleNext(
  options: ConsumeOptions,
  failures: Map<number, number>,
  events: readonly Placed[],
): Promise<boolean> {
  let trying = events[0]
  if (!trying) return true
  try {
    const { fits, handled } = await options.db.transaction((sql) =>
      handleInOrder(sql, options, events, (event) => {
        trying = event
      }),
    )
    for (const { position } of events) failures.delete(position)
    options.counts?.consumed(options.consumer, 'handled', handled)
    return fits
  } catch (error) {
    const count = (failures.get(trying.position) ?? 0) + 1
    options.counts?.consumed(options.consumer, 'failed', 1)
    failures.set(trying.position, count)
    // Those before it were undone with it; catching up takes them one by one.
    if (count < attempts || events.length > 1) throw error
    failures.delete(trying.position)
    await bury(options, trying.position, trying.event, error)
    return true
  }
}

async function handleInOrder(
  sql: Transaction,
  options: ConsumeOptions,
  events: readonly Placed[],
  onTry: (event: Placed) => void,
): Promise<{ fits: boolean; handled: number }> {
  const before = await lockPosition(sql, options)
  const fitting: Placed[] = []
  let fits = true
  for (const placed of events) {
    const done = before + fitting.length
    if (placed.position <= done) continue
    fits = placed.position === done + 1
    if (!fits) break
    fitting.push(placed)
  }
  const [first] = fitting
  const { handle, handleTogether } = options
  let effects = 0
  if (handleTogether && first && fitting.length > 1) {
    onTry(first)
    const together = fitting.map(({ event }) => event)
    await inSpanOf(together, options, () => handleTogether(sql, together.map(withoutTrace)))
    effects = together.length
  } else {
    for (const placed of fitting) {
      onTry(placed)
      const effect = await inSpanOf([placed.event], options, () => handle(sql, withoutTrace(placed.event)))
      if (effect !== 'nothing') effects++
    }
  }
  const done = before + fitting.length
  if (done > before) await savePosition(sql, options, done, { flushed: effects > 0 })
  return { fits, handled: fitting.length }
}

/**
 * Sets an event aside that cannot be handled, so that the ones behind it can. An operator finds it in `dead_letter` and on the
 * bus.
 */
async function bury(options: ConsumeOptions, position: number, event: CloudEvent, error: unknown): Promise<void> {
  const reason = error instanceof Error ? error.message : String(error)
  options.log.error('event cannot be handled and was set aside', {
    consumer: options.consumer,
    eventId: event.id,
    type: event.type,
    error,
  })
  await options.db.transaction(async (sql) => {
    await lockPosition(sql, options)
    await sql.query(
      'insert into dead_letter (consumer, event_id, event, reason, attempts) values ($1, $2, $3, $4, $5) on conflict do nothing',
      [options.consumer, event.id, JSON.stringify(withoutTrace(event)), reason, attempts],
    )
    await savePosition(sql, options, position)
  })
  options.counts?.consumed(options.consumer, 'set_aside', 1)
  options.bus.connection.publish(`berth.dlq.${options.consumer}`, JSON.stringify({ event, reason }))
}
