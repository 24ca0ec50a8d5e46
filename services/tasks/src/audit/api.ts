import { badField, type Database, type Handlers, readPage, toPage } from '@berth/service'
import type { operations } from '../openapi-types.ts'
import type { Collector } from './collect.ts'
import { showEntry } from './entry.ts'
import { createExports } from './export.ts'
import { type AuditFilter, keyOf, listEntries } from './list.ts'

/** The API of the audit trail. It is read, and there is no other way to it. */
export function auditHandlers(db: Database, collector: Pick<Collector, 'upToDate'>) {
  const exportCsv = createExports(db)
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
        await exportCsv(request, filter)
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
