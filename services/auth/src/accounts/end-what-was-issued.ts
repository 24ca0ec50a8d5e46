import type { Sql } from '@berth/service'

/** Ends everything that was issued to a user: remembered logins, refresh tokens, tokens for the API. */
export async function endWhatWasIssued(sql: Sql, accountId: string): Promise<void> {
  await sql.query('update account set session_epoch = session_epoch + 1 where id = $1', [accountId])
  await sql.query('delete from refresh_token where account = $1', [accountId])
  await sql.query('delete from known_login where account = $1', [accountId])
}
