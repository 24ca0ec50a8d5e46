import { badCursor, fitPage, type Page, type PageRequest, type Sql, toPage } from '@berth/service'

type Row = {
  fence: number
  place: number
  at: Date
  level: string
  message: string
  detail: string | null
  listedBytes: number
}
type Line = { at: string; level: string; message: string; detail: string | null }

const cursor = /^(\d{1,18})\.(\d{1,10})$/
const bytesBeside = 120

/** A page of the log of a task, oldest line first. Where `hidesDetail` it has only what Berth itself says, and nothing of an upstream. */
export async function listLines(sql: Sql, task: string, page: PageRequest, hidesDetail: boolean): Promise<Page<Line>> {
  const [, fence = '0', place = '-1'] = page.after === undefined ? [] : (cursor.exec(page.after) ?? [])
  if (page.after !== undefined && (place === '-1' || Number(place) > 2 ** 31 - 1)) throw badCursor()
  const rows = await sql.query<Row>(
    `select fence, place, at, level, message, detail,
       octet_length(message) + coalesce(octet_length(detail), 0) + ${bytesBeside} as "listedBytes"
     from task_log
     where task = $1
       and (fence, place) > ($2::bigint, $3::integer)
     order by fence, place
     limit $4`,
    [task, fence, place, page.limit + 1],
  )
  const fitting = fitPage(rows, page)
  return toPage(
    fitting.rows,
    fitting.page,
    (row) => `${row.fence}.${row.place}`,
    ({ at, level, message, detail }) => ({ at: at.toISOString(), level, message, detail: hidesDetail ? null : detail }),
  )
}
