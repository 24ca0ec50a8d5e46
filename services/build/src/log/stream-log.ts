import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { type ApiRequest, badField, beginStream, heartbeatMs, type Sql } from '@berth/service'
import { type LogLine, readLines } from './read-log.ts'

const pollMs = 300
const lookAgainMs = 5_000
const longestStep = 256

type Streaming = Pick<ApiRequest, 'response' | 'signal'>
type Watched = {
  sql: Sql
  buildId: string
  /** Whether the reader may read on. */
  mayStill: () => Promise<boolean>
}

/** The number in `Last-Event-ID`, behind which a reader goes on. Throws 400. */
export function lineAfter(header: string | undefined): number {
  if (header === undefined || header === '') return 0
  if (!/^\d{1,15}$/.test(header))
    throw badField('Last-Event-ID', 'is no id of a line', 'Send the id of the last line that came, or none.')
  return Number(header)
}

/** Answers the log as server-sent events, from behind a line until the build has ended; then an event says how. */
export async function streamLog(
  { response, signal }: Streaming,
  { sql, buildId, mayStill }: Watched,
  after: number,
): Promise<void> {
  beginStream(response)
  const heartbeat = setInterval(() => {
    if (!response.writableNeedDrain) response.write(': still here\n\n')
  }, heartbeatMs)
  let last = after
  let lookedAt = performance.now()
  try {
    while (!signal.aborted && !response.writableEnded) {
      const { lines, state } = await readLines(sql, buildId, last)
      last = lines.at(-1)?.line ?? last
      if (lines.length > 0) await send(response, lines.map(asEvent).join(''), signal)
      if (lines.length === 0 && (state === undefined || hasEnded(state))) {
        response.end(`event: end\ndata: ${JSON.stringify({ state: state ?? 'forgotten' })}\n\n`)
        return
      }
      if (performance.now() - lookedAt > lookAgainMs) {
        lookedAt = performance.now()
        if (!(await mayStill())) return void response.end()
      }
      if (lines.length === 0) await delay(pollMs, undefined, { signal })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    clearInterval(heartbeat)
  }
}

function hasEnded(state: string): boolean {
  return state !== 'waiting' && state !== 'running'
}

function asEvent({ line, at, step, stream, text }: LogLine): string {
  const shown = { at: at.toISOString(), step: step?.slice(0, longestStep) ?? null, stream, text }
  return `id: ${line}\nevent: line\ndata: ${JSON.stringify(shown)}\n\n`
}

async function send(response: Streaming['response'], text: string, signal: AbortSignal): Promise<void> {
  if (!response.write(text)) await once(response, 'drain', { signal })
}

/** Answers the whole log so far as plain text, a line each. */
export async function sendLog(
  { response, signal }: Streaming,
  { sql, buildId }: Pick<Watched, 'sql' | 'buildId'>,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
  for (let last = 0; ; ) {
    const { lines } = await readLines(sql, buildId, last)
    const end = lines.at(-1)
    if (!end) return void response.end()
    last = end.line
    await send(response, lines.map(({ text }) => `${text}\n`).join(''), signal)
  }
}
