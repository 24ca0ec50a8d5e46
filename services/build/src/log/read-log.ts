import type { Sql } from '@berth/service'

/** A line as it is kept. */
export type LogLine = { line: number; at: Date; step: string | null; stream: 'stdout' | 'stderr'; text: string }

const linesAtOnce = 1_000

/** Lines behind a number, some at a time; and whether the build has ended, seen before they were read. */
export async function readLines(
  sql: Sql,
  buildId: string,
  after: number,
): Promise<{ lines: LogLine[]; state: string | undefined }> {
  const [build] = await sql.query<{ state: string }>('select state from build where id = $1', [buildId])
  const lines = await sql.query<LogLine>(
    `select line, at, step, stream, text
     from build_log
     where build_id = $1
       and line > $2
     order by line
     limit ${linesAtOnce}`,
    [buildId, after],
  )
  return { lines, state: build?.state }
}
