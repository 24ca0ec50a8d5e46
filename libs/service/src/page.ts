import { badField } from './problem.ts'

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

/** Reads `limit` and `cursor`. A cursor is the last key of the page before, in base64url so that nobody builds on its form. */
export function readPage(query: Record<string, unknown>): PageRequest {
  const limit = Math.min(Number(query.limit ?? defaultLimit), maxLimit)
  if (typeof query.cursor !== 'string') return { after: undefined, limit }
  const after = Buffer.from(query.cursor, 'base64url').toString('utf8')
  if (after === '' || Buffer.from(after).toString('base64url') !== query.cursor)
    throw badField('cursor', 'is not one that a list gave', 'Use the value of "next" unchanged.')
  return { after, limit }
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
