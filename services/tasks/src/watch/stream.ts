import { startLoop } from '@berth/bus'
import type { Task } from '@berth/commands'
import { type ApiRequest, beginStream, heartbeatMs } from '@berth/service'
import { hasEnded } from '../queue/row.ts'
import type { Changes } from './changes.ts'

const lookAgainMs = 5_000

/** A task as a reader may see it. */
export type View = (task: Task) => Task

/**
 * Answers server-sent events: the task as it is, then again at each change, until it has ended. A reader that is slow skips
 * states in between; it always gets the last one. Every five seconds `lookAgain` says how the reader may see it now; where it answers
 * nothing the stream ends, as what is long must outlive no right.
 */
export function streamTask(
  { response, signal }: Pick<ApiRequest, 'response' | 'signal'>,
  task: Task,
  { changes, ...reader }: { changes: Changes; view: View; lookAgain: () => Promise<View | undefined> },
): void {
  let { view } = reader
  beginStream(response)
  let sent = ''
  const send = (seen: Task) => {
    const json = JSON.stringify(view(seen))
    if (json === sent || response.writableNeedDrain) return
    sent = json
    response.write(`event: task\ndata: ${json}\n\n`)
    if (hasEnded(seen.state)) end()
  }
  const heartbeat = setInterval(() => {
    if (!response.writableNeedDrain) response.write(': still here\n\n')
  }, heartbeatMs)
  const looking = startLoop({
    pollMs: lookAgainMs,
    pauseAfterFailureMs: lookAgainMs,
    // What cannot be asked now was allowed a moment ago.
    onError: () => undefined,
    run: async () => {
      const now = await reader.lookAgain()
      if (now) view = now
      else end()
    },
  })
  const end = () => {
    stopWatching()
    clearInterval(heartbeat)
    // It may be itself what ends: not waited for.
    looking.stop().catch(() => undefined)
    response.end()
  }
  const stopWatching = changes.watch(task.id, { seen: send, end })
  signal.addEventListener('abort', end, { once: true })
  // Of a client that left before this was begun nothing is heard again.
  if (signal.aborted) end()
  else send(task)
}
