import { badField } from './problem.ts'

const defaultLimit = 100
const maxLimit = 1_000

/** One page of a keyset list: after which key, and how many rows. */
export type PageRequest = { after: string | undefined; limit: number }
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

/** Makes a page of rows of which one more than `limit` was asked for, to know whether there is a next page. */
export function toPage<Row, T>(
  rows: readonly Row[],
  page: PageRequest,
  keyOf: (row: Row) => string,
  show: (row: Row) => T,
): Page<T> {
  const shown = rows.slice(0, page.limit)
  const last = shown.at(-1)
  const next = rows.length > page.limit && last !== undefined ? Buffer.from(keyOf(last)).toString('base64url') : null
  return { items: shown.map(show), next }
}
