import type { Sql } from '@berth/service'

/** As `endWhatWasIssued`, to all people who log in through an issuer. */
export async function endWhatWasIssuedBy(sql: Sql, issuer: string): Promise<void> {
  await sql.query('update account set session_epoch = session_epoch + 1 where issuer = $1', [issuer])
  for (const table of ['refresh_token', 'known_login', 'personal_token', 'session'])
    await sql.query(
      `delete from ${table}
       using account
       where account.id = ${table}.account and issuer = $1`,
      [issuer],
    )
}

/**
 * Ends everything that was issued to a user: remembered logins, refresh tokens, personal tokens, tokens for the API, sessions. Of the
 * sessions one may go on: that in which a person changes the own password.
 */
export async function endWhatWasIssued(sql: Sql, accountId: string, keptSession?: Buffer): Promise<void> {
  await sql.query('update account set session_epoch = session_epoch + 1 where id = $1', [accountId])
  await sql.query('delete from refresh_token where account = $1', [accountId])
  await sql.query('delete from known_login where account = $1', [accountId])
  await sql.query('delete from personal_token where account = $1', [accountId])
  await sql.query('delete from session where account = $1 and hash is distinct from $2', [
    accountId,
    keptSession ?? null,
  ])
  await sql.query(
    `update session
     set session_epoch = account.session_epoch
     from account
     where account.id = $1 and session.account = $1`,
    [accountId],
  )
}
