import { setTimeout as delay } from 'node:timers/promises'
import { sqlState } from './database.ts'
import { tryDatabase, withClient } from './migration-client.ts'
import { insufficientPrivilege, readApplied, refuseStrangers } from './migrations.ts'
import { readSchemaParts, type Script } from './schema-parts.ts'
import { StartupError } from './startup-error.ts'

/**
 * Waits until somebody else has brought a schema up to date, for `withinMs` at most (five minutes unless set); what is missing then is
 * told by a `StartupError`. A server that is not there yet is waited for too. `onWait` hears what is waited for, each thing once.
 */
export async function awaitMigrations(options: {
  url: string
  schema: string
  parts: readonly URL[]
  withinMs?: number
  pollMs?: number
  onWait?: (lack: StartupError) => void
}): Promise<void> {
  const { url, schema, withinMs = longestWaitMs, pollMs = 1_000 } = options
  const { migrations } = await readSchemaParts(options.parts)
  const last = Date.now() + withinMs
  let told = ''
  for (;;) {
    const lack = await findLack(url, schema, migrations)
    if (!lack) return
    if (lack.message !== told) options.onWait?.(lack)
    told = lack.message
    if (Date.now() > last) throw lack
    await delay(pollMs)
  }
}

/** Waits for a server that does not answer, five minutes at most. Throws `StartupError` then, and at once where waiting does not help. */
export async function awaitDatabase(url: string): Promise<void> {
  const last = Date.now() + longestWaitMs
  for (;;) {
    try {
      return await tryDatabase(url)
    } catch (error) {
      if (!(error instanceof StartupError) || !isAway(error.cause) || Date.now() > last) throw error
      await delay(1_000)
    }
  }
}

const longestWaitMs = 300_000

/** What a schema lacks that may still come; what cannot be mended by waiting is thrown. */
async function findLack(url: string, schema: string, migrations: Script[]): Promise<StartupError | undefined> {
  try {
    return await withClient(url, async (client) => {
      const applied = await readApplied(client, schema)
      refuseStrangers(schema, applied, migrations)
      const missing = migrations.find(({ name }) => !applied.has(name))
      return missing && lackOf(schema, `the migration ${missing.name}`)
    })
  } catch (error) {
    // The rights come behind the tables.
    if (sqlState(error) === insufficientPrivilege) return lackOf(schema, 'rights for the user of BERTH_DATABASE_URL')
    if (error instanceof StartupError && isAway(error.cause)) return error
    throw error
  }
}

function lackOf(schema: string, what: string): StartupError {
  return new StartupError(
    `schema "${schema}" lacks ${what}, and this service does not bring it up to date (BERTH_MIGRATE=false)`,
    'run "berth migrate" of this release, with BERTH_DATABASE_ROLE where services log in as another user',
  )
}

// Refused logins (class 28) and databases that do not exist (3D000) do not come by waiting.
function isAway(cause: unknown): boolean {
  return cause !== undefined && !/^(28|3D)/.test(sqlState(cause) ?? '')
}
