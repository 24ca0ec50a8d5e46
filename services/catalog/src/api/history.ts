import { badField, type Database, type Handlers, numberAfter, readPage, toPage } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import { findDistribution } from '../distributions/show.ts'
import { distributionAt, distributionHistory, placeOf, showServed } from '../history/distributions.ts'
import { tagAt, tagHistory } from '../history/tags.ts'
import type { operations } from '../openapi-types.ts'
import { findRepository } from '../repositories/find.ts'

/** The API of what was served, from when to when. */
export function historyHandlers(db: Database, prisma: Prisma) {
  return {
    listTagHistory: async ({ params, query }) => {
      const { id } = await findRepository(prisma, params.repository)
      const page = readPage(query)
      const before = numberAfter(page)
      const rows = await tagHistory(db, { repositoryId: id, tag: params.tag, before, rows: page.limit + 1 })
      const body = toPage(
        rows,
        page,
        (row) => String(row.version),
        (row) => row,
      )
      return { status: 200, body }
    },
    showTagAt: async ({ params, query }) => {
      const { id } = await findRepository(prisma, params.repository)
      return { status: 200, body: await tagAt(db, { repositoryId: id, tag: params.tag, time: readTime(query.time) }) }
    },
    listDistributionHistory: async ({ params, query, principal }) => {
      const { id } = await findDistribution(prisma, params.distribution)
      const page = readPage(query)
      const { rights } = principal
      const rows = await distributionHistory(db, {
        distributionId: id,
        after: page.after,
        rows: page.limit + 1,
        rights,
      })
      return { status: 200, body: toPage(rows, page, placeOf, showServed) }
    },
    showDistributionAt: async ({ params, query, principal }) => {
      const { id, name } = await findDistribution(prisma, params.distribution)
      const { rights } = principal
      const time = readTime(query.time)
      return {
        status: 200,
        body: await distributionAt(db, { distribution: { id, name }, time, tag: query.tag, rights }),
      }
    },
  } satisfies Partial<Handlers<operations>>
}

const wellFormed = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i
const endOfYear9999 = 253_402_300_799_000

/** A time as PostgreSQL takes it, to the microsecond. Throws 400. */
function readTime(text: string): string {
  const [, seconds = '', fraction = '', zone = ''] = wellFormed.exec(text) ?? []
  const time = Date.parse(`${seconds}${zone}`.toUpperCase())
  if (Number.isNaN(time))
    throw badField('time', 'must be a time with its zone', 'For example 2026-11-29T12:00:00Z; a "+" in a URL is %2B.')
  // Nothing was here before 1970, and the years of PostgreSQL begin with 1.
  const known = new Date(Math.min(Math.max(time, 0), endOfYear9999)).toISOString()
  return `${known.slice(0, 19)}${fraction.slice(0, 7)}Z`
}
