import { once } from 'node:events'
import { type ApiRequest, badField, type Database, type Handlers, Problem, readPage, toPage } from '@berth/service'
import type { operations } from '../openapi-types.ts'
import type { Collector } from './collect.ts'
import { csvHead, csvLine } from './csv.ts'
import { showEntry } from './entry.ts'
import { type AuditFilter, keyOf, listEntries } from './list.ts'

const mostExports = 4
const exportedAtOnce = 1_000

/** The API of the audit trail. It is read, and there is no other way to it. */
export function auditHandlers(db: Database, collector: Pick<Collector, 'upToDate'>) {
  let exports = 0
  const sendCsv = async (
    { principal, response, signal }: Pick<ApiRequest, 'principal' | 'response' | 'signal'>,
    filter: AuditFilter,
  ) => {
    if (exports >= mostExports)
      throw new Problem(429, 'too_many_exports', `${mostExports} exports are under way, which is the most.`, {
        hint: 'Wait for one to end.',
        headers: { 'retry-after': '10' },
      })
    exports += 1
    try {
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
        if (!goesOn) await once(response, 'drain', { signal })
        after = keyOf(last)
      }
      response.end()
    } finally {
      exports -= 1
    }
  }
  return {
    listAudit: async (request) => {
      const { query, principal, response } = request
      const { limit, cursor, since, until, ...named } = query
      const filter: AuditFilter = {
        ...named,
        ...(since === undefined ? {} : { since: readTime('since', since) }),
        ...(until === undefined ? {} : { until: readTime('until', until) }),
      }
      const unavailable = await collector.upToDate()
      if (response.req.accepts(['application/json', 'text/csv']) === 'text/csv') {
        await sendCsv(request, filter)
        return undefined
      }
      const page = readPage({ limit, cursor })
      const rows = await listEntries(db, principal, filter, page)
      return { status: 200, body: { ...toPage(rows, page, keyOf, showEntry), unavailable } }
    },
  } satisfies Partial<Handlers<operations>>
}

/** A time in UTC. PostgreSQL knows fewer years than a time can have here, and more of them than there is a trail of. */
function readTime(field: string, text: string): string {
  const time = new Date(text)
  const year = time.getUTCFullYear()
  if (Number.isNaN(year) || year < 1970 || year > 9999)
    throw badField(field, 'is no time between 1970 and 9999', 'Write it as 2026-11-29T12:00:00Z.')
  return time.toISOString()
}
