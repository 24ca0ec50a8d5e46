import { type Loop, startLoop } from '@berth/bus'
import type { AuthCommands, CommandClient } from '@berth/commands'
import type { Database, Logger } from '@berth/service'
import { createTokenCheck, type PublicJwk, type TokenCheck } from '@berth/tokens'
import { atMostEvery } from './at-most-every.ts'

const refreshEveryMs = 60_000
const pauseAfterFailureMs = 2_000
// Anybody can send tokens of keys that nobody knows; keys are published well before they are used.
const refreshAtMostEveryMs = 5_000

/**
 * Checks tokens with the issuer's public keys, which are kept in this schema too: with auth stopped, tokens that are still
 * valid open what they opened. A token that is not valid makes us ask for the keys, but not again and again.
 */
export async function startTokenKeys(options: {
  db: Database
  auth: CommandClient<AuthCommands>
  log: Logger
}): Promise<{ check: TokenCheck; refresh: () => void; stop: () => Promise<void> }> {
  const { db, auth, log } = options
  const rows = await db.query<{ jwk: PublicJwk }>('select jwk from token_key')
  const check = createTokenCheck(rows.map((row) => row.jwk))
  const loop: Loop = startLoop({
    pollMs: refreshEveryMs,
    pauseAfterFailureMs,
    onError: (error) => log.warn('token keys could not be refreshed', { error }),
    run: async () => {
      const { keys } = await auth.call('list-keys', {})
      await db.transaction(async (sql) => {
        await sql.query('delete from token_key where kid <> all($1::text[])', [keys.map((key) => key.kid)])
        await sql.query(
          `insert into token_key (kid, jwk)
           select jwk ->> 'kid', jwk
           from jsonb_array_elements($1::jsonb) as jwk
           on conflict do nothing`,
          [JSON.stringify(keys)],
        )
      })
      check.setKeys(keys)
    },
  })
  const refresh = atMostEvery(refreshAtMostEveryMs, loop.wake)
  return { check, refresh: refresh.call, stop: async () => (refresh.stop(), loop.stop()) }
}
