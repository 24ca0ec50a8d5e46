import pg from 'pg'
import { databaseStartupError } from './database.ts'
import { StartupError } from './startup-error.ts'

/** Opens a connection for `work` and closes it. A server that cannot be used is a `StartupError` which says why. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    application_name: 'berth-migrations',
  })
  // A connection that the server ends fails the query under way, which says so; the event alone would end the process.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (cause) {
    throw databaseStartupError(url, cause)
  }
  try {
    await refuseOldServer(client)
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Throws a `StartupError` when the server of a database does not answer, or is too old. */
export async function tryDatabase(url: string): Promise<void> {
  await withClient(url, async () => {})
}

const oldestServer = 150_000

async function refuseOldServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ version: string }>("select current_setting('server_version_num') as version")
  if (Number(rows[0]?.version) < oldestServer)
    throw new StartupError('the PostgreSQL of BERTH_DATABASE_URL is older than 15', 'use PostgreSQL 15 or newer')
}
