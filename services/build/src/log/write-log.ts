import type { Database, Logger } from '@berth/service'
import type { BuildLine } from '../engines/engine.ts'

/** Lines of a build on their way into the database. */
export type LogWriter = {
  add(line: BuildLine): void
  /** Ends once all of them are there, or could not be written. */
  close(): Promise<void>
}

/** The most bytes of one log, of all attempts together. */
const mostLogBytes = 16 << 20
const flushEveryMs = 200
const linesAtOnce = 500
const longestLine = 16 << 10
// What a line takes beside its text.
const lineBytes = 64

/**
 * Keeps the log of a build, a few lines at a time. Behind 16 MiB it says once that it is cut. A build is not held up by its log: what cannot
 * be written is left out, and Berth's own log says so.
 */
export async function openLog(db: Database, log: Logger, buildId: string): Promise<LogWriter> {
  const [row] = await db.query<{ bytes: number; cut: boolean }>(
    'select log_bytes as bytes, log_cut as cut from build where id = $1',
    [buildId],
  )
  let { bytes, cut } = row ?? { bytes: 0, cut: false }
  let waiting: BuildLine[] = []
  let timer: NodeJS.Timeout | undefined
  let writing = Promise.resolve()

  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    const lines = waiting
    waiting = []
    if (lines.length === 0) return
    writing = writing
      .then(() => append(db, buildId, lines, cut))
      .catch((error: unknown) =>
        log.warn('lines of the log of a build are lost', { buildId, lines: lines.length, error }),
      )
  }
  return {
    add: (line) => {
      if (cut) return
      const text = tidy(line.text)
      bytes += Buffer.byteLength(text) + lineBytes
      cut = bytes > mostLogBytes
      waiting.push(cut ? cutHere(line) : { ...line, text })
      if (waiting.length >= linesAtOnce) flush()
      else timer ??= setTimeout(flush, flushEveryMs)
    },
    close: async () => {
      flush()
      await writing
    },
  }
}

/** As PostgreSQL takes it, and no longer than anybody reads. */
function tidy(text: string): string {
  return text.slice(0, longestLine).toWellFormed().replaceAll('\0', '')
}

function cutHere({ at }: BuildLine): BuildLine {
  return { at, step: null, stream: 'stderr', text: `The log is cut here: no more than ${mostLogBytes} bytes are kept.` }
}

const appendQuery = `
  with counted as (
    update build
    set log_lines = log_lines + cardinality($2::timestamptz[]),
      log_bytes = log_bytes + $6,
      log_cut = $7
    where id = $1
    returning log_lines - cardinality($2::timestamptz[]) as before)
  insert into build_log (build_id, line, at, step, stream, text)
  select $1, before + place, at, step, stream, text
  from counted
  cross join unnest($2::timestamptz[], $3::text[], $4::text[], $5::text[]) with ordinality as new (at, step, stream, text, place)`

async function append(db: Database, buildId: string, lines: readonly BuildLine[], cut: boolean): Promise<void> {
  const bytes = lines.reduce((sum, { text }) => sum + Buffer.byteLength(text) + lineBytes, 0)
  await db.background.query(appendQuery, [
    buildId,
    lines.map(({ at }) => at),
    lines.map(({ step }) => step),
    lines.map(({ stream }) => stream),
    lines.map(({ text }) => text),
    bytes,
    cut,
  ])
}
