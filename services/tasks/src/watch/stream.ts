import type { Task } from '@berth/commands'
import type { ApiRequest } from '@berth/service'
import { hasEnded } from '../queue/row.ts'
import type { Changes } from './changes.ts'

// Proxies cut a connection that is silent for a minute, some sooner.
const heartbeatMs = 15_000

/**
 * Answers server-sent events: the task as it is, then again at each change, until it has ended. A reader that is slow skips
 * states in between; it always gets the last one. `view` is a task as the reader may see it.
 */
export function streamTask(
  { response, signal }: ApiRequest,
  task: Task,
  { changes, view }: { changes: Changes; view: (task: Task) => Task },
): void {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
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
  const end = () => {
    stopWatching()
    clearInterval(heartbeat)
    response.end()
  }
  const stopWatching = changes.watch(task.id, { seen: send, end })
  signal.addEventListener('abort', end, { once: true })
  // Of a client that left before this was begun nothing is heard again.
  if (signal.aborted) end()
  else send(task)
}
