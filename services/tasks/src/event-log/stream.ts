import { once } from 'node:events'
import { type ApiRequest, beginStream, type Database, heartbeatMs, type Principal } from '@berth/service'
import type { EventFilter } from './filter.ts'
import { readBounds, readLog } from './read-log.ts'
import type { Tail } from './tail.ts'

/** How often rights are read again, and how long a reader may take nothing. */
const usualTimes = { lookAgainMs: 30_000, slowMs: 30_000 }

type Reader = Pick<ApiRequest, 'response' | 'signal'> & {
  principal: Principal
  /** Who it is now; nothing where its login has ended. Throws what says nothing of that. */
  whoNow: () => Promise<Principal | undefined>
  /** The last event that it has; without one it hears of what comes. */
  after: number | undefined
  filter: EventFilter
}
type Reading = { db: Database; tail: Tail; times?: typeof usualTimes }

/**
 * Answers server-sent events until the reader leaves: what is in the log after `after`, then what comes. Rights are read again every half
 * minute, and with the login the stream ends. A reader that takes nothing for half a minute is cut: it comes back with the id that it has.
 */
export async function streamEvents({ db, tail, times = usualTimes }: Reading, reader: Reader): Promise<void> {
  const { lookAgainMs, slowMs } = times
  const { response, filter } = reader
  const ended = new AbortController()
  response.once('close', () => ended.abort())
  const signal = AbortSignal.any([reader.signal, ended.signal])
  if (signal.aborted) return
  beginStream(response)
  const send = async (text: string) => {
    if (response.write(text)) return
    await once(response, 'drain', { signal: AbortSignal.any([signal, AbortSignal.timeout(slowMs)]) })
  }
  let caller = reader.principal
  let lookedAt = performance.now()
  let { head, gone } = await readBounds(db)
  let after = reader.after ?? head
  // An id of a log that was lost with its database stands for nothing here.
  if (after < gone || after > head) {
    await send(`event: gone\nid: ${gone}\ndata: ${JSON.stringify({ after, keptAfter: gone })}\n\n`)
    after = gone
  }
  // The reader learns at once that it is heard, and from where on.
  await send(`id: ${after}\n: listening\n\n`)
  while (!signal.aborted) {
    if (performance.now() - lookedAt > lookAgainMs) {
      const now = await reader.whoNow().catch(() => caller)
      if (!now) return
      caller = now
      lookedAt = performance.now()
    }
    if (after < head) {
      const page = await readLog(db, caller, { after, head, filter })
      for (const { id, type, json } of page.events) await send(`id: ${id}\nevent: ${type}\ndata: ${json}\n\n`)
      after = page.readTo
      continue
    }
    const grown = await tail.beyond(after, Math.min(heartbeatMs, lookAgainMs), signal)
    if (grown !== undefined) head = grown
    else if (tail.isStopped()) return
    // Its id says how far it has heard all that it may, so that a reader of rare events need not begin too far back.
    else await send(`id: ${after}\n: still here\n\n`)
  }
}
