import { badField, type Problem } from './problem.ts'

const defaultLimit = 100
const maxLimit = 1_000

/** One page of a keyset list: after which key, and how many rows. */
export type PageRequest = {
  after: string | undefined
  limit: number
  /** Whether more follows on the rows at hand; else that is told by a row more than `limit`. */
  isCut?: boolean
}
export type Page<T> = { items: T[]; next: string | null }

/** Reads `limit` and `cursor`. A cursor is the last key of the page before, in base64url so that no client builds on its form. */
export function readPage(query: { limit?: unknown; cursor?: unknown }): PageRequest {
  const limit = Math.min(Number(query.limit ?? defaultLimit), maxLimit)
  if (typeof query.cursor !== 'string') return { after: undefined, limit }
  const after = Buffer.from(query.cursor, 'base64url').toString('utf8')
  // U+0000 is in no key: PostgreSQL takes it in no text.
  if (after === '' || after.includes('\0') || Buffer.from(after).toString('base64url') !== query.cursor)
    throw badCursor()
  return { after, limit }
}

/** 400 for a cursor that the list did not give. */
export function badCursor(): Problem {
  return badField('cursor', 'is not one that this list gave', 'Use the value of "next" unchanged.')
}

/** The number in the cursor of a list whose keys are numbers of PostgreSQL's `integer`. Throws 400. */
export function numberAfter({ after }: PageRequest): number | undefined {
  if (after === undefined) return undefined
  if (!/^\d{1,10}$/.test(after) || Number(after) > 2 ** 31 - 1) throw badCursor()
  return Number(after)
}

const timeAndId = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]{0,7}Z) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/

/** The time (ISO 8601) and the id in the cursor of a list whose keys are these, with a space between. Throws 400. */
export function timeAndIdAfter({ after }: PageRequest): { at: string; id: string } | undefined {
  if (after === undefined) return undefined
  const [, at = '', id = ''] = timeAndId.exec(after) ?? []
  const time = new Date(at)
  // JavaScript takes 30 February for 2 March, and knows a year 0; PostgreSQL fails on both.
  if (Number.isNaN(time.getTime()) || time.toISOString().slice(0, 19) !== at.slice(0, 19) || at.startsWith('0000'))
    throw badCursor()
  return { at, id }
}

/** Most bytes of one page of a list, but for a single entry that is larger. */
export const pageBytes = 4 << 20

/**
 * Of the rows of a page, in its order, those that fit into its bytes; the first one always does. Only their sizes need have been
 * read. `page` then says whether more follow.
 */
export function fitPage<Row extends { listedBytes: number }>(
  rows: readonly Row[],
  page: PageRequest,
): { rows: Row[]; page: PageRequest } {
  let bytes = 0
  const end = rows.findIndex(({ listedBytes }, place) => {
    bytes += listedBytes
    return place === page.limit || (place > 0 && bytes > pageBytes)
  })
  const fitting = end < 0 ? [...rows] : rows.slice(0, end)
  return { rows: fitting, page: { ...page, isCut: end >= 0 } }
}

/** Makes a page of rows of which one more than `limit` was asked for, to know whether there is a next page. */
export function toPage<Row, T>(
  rows: readonly Row[],
  page: PageRequest,
  keyOf: (row: Row) => string,
  show: (row: Row) => T,
): Page<T> {
  const shown = rows.slice(0, page.limit)
  const last = shown.at(-1)
  const goesOn = page.isCut ?? rows.length > page.limit
  const next = goesOn && last !== undefined ? Buffer.from(keyOf(last)).toString('base64url') : null
  return { items: shown.map(show), next }
}
