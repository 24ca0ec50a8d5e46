import { type Database, type InternalCall, Problem, type Sql, sqlState, type Transaction } from '@berth/service'

const keptHours = 24

/**
 * Carries out a command once, however often it comes: the reply is stored in the transaction of the effect, and a repetition
 * gets it. A command that took longer than its caller waits is undone, because the caller may have told its own client that
 * it failed; the database's clock decides (docs/guarantees.md, D2). `options` are those of its transaction.
 */
export async function runCommand<Reply>(
  db: Database,
  call: InternalCall,
  work: (sql: Transaction) => Promise<Reply>,
  options: { planOnce?: boolean } = {},
): Promise<Reply> {
  const run = async (sql: Transaction): Promise<Reply> => {
    const reply = await work(sql)
    // The database's clock starts when we read the command. One that waited unread, because this process was stopped, is
    // known by its caller having left: it told its client of a failure, and must not overtake what was done since.
    if (call.signal.aborted) throw tooLate()
    const values = [call.commandId, JSON.stringify(reply), call.timeoutMs]
    sql.later(sql.prepared('store-command', 'select store_command($1, $2, $3)', values))
    return reply
  }
  try {
    return await db.transaction(run, options)
  } catch (error) {
    if (sqlState(error) === 'BR002') throw tooLate(error)
    // A repetition fails at the latest when it stores its reply under the same id, and is undone as a whole.
    const [done] = await db.query<{ reply: Reply }>('select reply from command where id = $1', [call.commandId])
    if (done) return done.reply
    throw error
  }
}

function tooLate(cause?: unknown): Problem {
  return new Problem(503, 'too_late', 'The command took longer than its caller waits, and was undone.', {
    headers: { 'retry-after': '1' },
    cause,
  })
}

/** Forgets replies that are not asked for any more. */
export async function pruneCommands(sql: Sql): Promise<void> {
  await sql.query('delete from command where done_at < now() - make_interval(hours => $1)', [keptHours])
}
