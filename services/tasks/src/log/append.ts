import type { TaskLine, TaskLines } from '@berth/commands'
import type { Transaction } from '@berth/service'

type Held = { id: string; fence: number }
type Numbered = TaskLine & { place: number }

/** Lines of one task, the last of which says where it was cut. */
const mostLines = 10_000
const lineBytes = 4_096
// Behind all lines of an attempt.
const lastPlace = 2 ** 31 - 1
const lostPlace = lastPlace - 1

/**
 * Keeps lines that the worker of a task sent along, in the transaction that has found it to hold the task still, which has `kept` lines
 * already. Those that were heard before, and those that are too many, are left out.
 */
export async function appendLines(
  sql: Transaction,
  held: Held,
  kept: number,
  log: TaskLines | undefined,
): Promise<void> {
  if (!log || log.lines.length === 0 || kept >= mostLines) return
  const lines = log.lines
    .map((line, index) => ({ ...line, place: log.first + index }))
    .filter(({ place }) => place < lostPlace)
  const room = mostLines - 1 - kept
  // Else what is there already need not be told from what is new: it makes no line a second time.
  const isCut = lines.length > room
  const last = isCut ? await lastPlaceOf(sql, held) : -1
  const fresh = lines.filter(({ place }) => place > last)
  const fitting: Numbered[] = fresh.slice(0, room)
  if (fresh.length > room) fitting.push(cutAt(fresh[room]?.at ?? new Date().toISOString()))
  await insert(sql, held, fitting)
}

async function lastPlaceOf(sql: Transaction, { id, fence }: Held): Promise<number> {
  const [row] = await sql.query<{ last: number }>(
    `select coalesce(max(place), -1) as last
     from task_log
     where task = $1
       and fence = $2
       and place < $3`,
    [id, fence, lostPlace],
  )
  return row?.last ?? -1
}

function cutAt(at: string): Numbered {
  const message = `The log is cut here: no more than ${mostLines} lines of a task are kept.`
  return { at, level: 'warn', message, place: lastPlace }
}

/** Says in the log of a task that its worker was lost, which is heard of no more. */
export async function noteLostWorker(sql: Transaction, held: Held, message: string): Promise<void> {
  const [room] = await sql.query('select from task where id = $1 and log_lines < $2', [held.id, mostLines - 1])
  if (room) await insert(sql, held, [{ at: new Date().toISOString(), level: 'warn', message, place: lostPlace }])
}

async function insert(sql: Transaction, { id, fence }: Held, lines: readonly Numbered[]): Promise<void> {
  if (lines.length === 0) return
  const texts = lines.map(fit)
  await sql.prepared(
    'append-lines',
    `with added as (
       insert into task_log (task, fence, place, at, level, message, detail)
       select $1, $2, line.*
       from unnest($3::integer[], $4::timestamptz[], $5::text[], $6::text[], $7::text[]) as line
       on conflict do nothing
       returning place)
     update task
     set log_lines = log_lines + (select count(*) from added)
     where id = $1`,
    [
      id,
      fence,
      lines.map(({ place }) => place),
      lines.map(({ at }) => at),
      lines.map(({ level }) => level),
      texts.map(({ message }) => message),
      texts.map(({ detail }) => detail),
    ],
  )
}

/** A line within its bytes, and as PostgreSQL takes it. */
function fit({ message, detail }: TaskLine): { message: string; detail: string | null } {
  const text = cut(message, lineBytes) || '(nothing)'
  const rest = lineBytes - Buffer.byteLength(text)
  return { message: text, detail: detail === undefined || rest < 1 ? null : cut(detail, rest) }
}

function cut(text: string, bytes: number): string {
  // Characters that are half of a pair, and U+0000, are in no text of PostgreSQL.
  const clean = text.toWellFormed().replaceAll('\0', '')
  if (Buffer.byteLength(clean) <= bytes) return clean
  let end = bytes
  const buffer = Buffer.from(clean)
  // Not in the middle of a character, whose further bytes all begin with 10.
  while (end > 0 && ((buffer[end] ?? 0) & 0xc0) === 0x80) end--
  return buffer.subarray(0, end).toString()
}
