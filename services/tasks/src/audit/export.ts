import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { type Database, type Principal, Problem } from '@berth/service'
import { csvHead, csvLine } from './csv.ts'
import { type AuditFilter, keyOf, listEntries } from './list.ts'

const mostExports = 8
const mostOfAccount = 2
const exportedAtOnce = 1_000
/** How long a reader may take nothing. */
const usualSlowMs = 30_000

type Asked = { principal: Principal; response: ServerResponse; signal: AbortSignal }
/** Answers all that a caller may see of what a filter lets through, as CSV. */
export type ExportCsv = (asked: Asked, filter: AuditFilter) => Promise<void>

/**
 * Makes what exports the trail: eight at a time and two of an account, so that nobody keeps others from theirs; one that takes nothing for
 * half a minute is cut. Beyond that it throws 429.
 */
export function createExports(db: Database, slowMs = usualSlowMs): ExportCsv {
  const exporting: string[] = []
  return async (asked, filter) => {
    const { id } = asked.principal
    const own = exporting.filter((one) => one === id).length
    if (own >= mostOfAccount) throw tooMany(`${own} exports of yours are under way, which is the most of an account.`)
    if (exporting.length >= mostExports) throw tooMany(`${mostExports} exports are under way, which is the most.`)
    exporting.push(id)
    try {
      await send(db, asked, filter, slowMs)
    } finally {
      exporting.splice(exporting.indexOf(id), 1)
    }
  }
}

function tooMany(message: string): Problem {
  return new Problem(429, 'too_many_exports', message, {
    hint: 'Wait for one to end.',
    headers: { 'retry-after': '10' },
  })
}

async function send(
  db: Database,
  { principal, response, signal }: Asked,
  filter: AuditFilter,
  slowMs: number,
): Promise<void> {
  for (let after: string | undefined; ; ) {
    const rows = await listEntries(db, principal, filter, { after, limit: exportedAtOnce })
    signal.throwIfAborted()
    if (after === undefined) {
      const headers = { 'content-type': 'text/csv; charset=utf-8', 'cache-control': 'no-store' }
      response.writeHead(200, { ...headers, 'content-disposition': 'attachment; filename="audit.csv"' })
    }
    const lines = rows.slice(0, exportedAtOnce).map(csvLine)
    const goesOn = response.write(`${after === undefined ? csvHead : ''}${lines.join('')}`)
    const last = rows[exportedAtOnce - 1]
    if (rows.length <= exportedAtOnce || !last) break
    if (!goesOn && !(await isTaken(response, signal, slowMs))) return void response.destroy()
    after = keyOf(last)
  }
  response.end()
}

async function isTaken(response: ServerResponse, signal: AbortSignal, slowMs: number): Promise<boolean> {
  const slow = AbortSignal.timeout(slowMs)
  try {
    await once(response, 'drain', { signal: AbortSignal.any([signal, slow]) })
    return true
  } catch (error) {
    if (slow.aborted) return false
    throw error
  }
}
