import { randomBytes } from 'node:crypto'
import { Client } from 'pg'

/** Makes a fresh database on the server of a URL, and answers its URL. The user must be allowed to. */
export async function createDatabase(serverUrl: string): Promise<string> {
  const name = `berth_e2e_${randomBytes(6).toString('hex')}`
  await query(serverUrl, `create database ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}

/** Drops a database that `createDatabase` made, also while it has connections. */
export async function dropDatabase(databaseUrl: string): Promise<void> {
  const url = new URL(databaseUrl)
  const name = url.pathname.slice(1)
  url.pathname = '/postgres'
  await query(url.href, `drop database if exists ${name} with (force)`)
}

/** Runs one statement on a connection of its own. */
export async function query(databaseUrl: string, sql: string, values: unknown[] = []): Promise<unknown[]> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    return (await client.query(sql, values)).rows
  } finally {
    await client.end()
  }
}
