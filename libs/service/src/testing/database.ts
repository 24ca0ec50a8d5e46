import { randomUUID } from 'node:crypto'
import pg from 'pg'

export type TestDatabase = { url: string; drop: () => Promise<void> }

/** The servers that the test run started. */
export function testServers(): { databaseUrl: string; natsUrl: string } {
  const { BERTH_TEST_DATABASE_URL: databaseUrl, BERTH_TEST_NATS_URL: natsUrl } = process.env
  if (!databaseUrl || !natsUrl) throw new Error('the test servers are not running')
  return { databaseUrl, natsUrl }
}

/** Makes a database of its own for a test file. */
export async function makeDatabase(): Promise<TestDatabase> {
  const admin = testServers().databaseUrl
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await run(admin, `create database ${name}`)
  const url = new URL(admin)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => run(admin, `drop database ${name} with (force)`) }
}

async function run(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
