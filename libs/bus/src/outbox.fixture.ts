import { randomUUID } from 'node:crypto'
import { applyMigrations, createLogger, type Database, openDatabase, type Sql, type Transaction } from '@berth/service'
import { eventTables } from './event-tables.ts'
import { catalogEvents } from './index.ts'
import { recordEvents } from './outbox.ts'

export const log = createLogger({ service: 'test', silent: true })
const repositoryId = randomUUID()

/** A schema with the tables of the bus, and one that keeps the effects of events in the order in which they had them. */
export async function makeSchema(url: string): Promise<Database> {
  const schema = `s_${randomUUID().replaceAll('-', '')}`
  await applyMigrations({ url, schema, parts: [eventTables] })
  const db = openDatabase({ url, schema, max: 12 })
  await db.query('create table effect (nr bigint generated always as identity, name text not null)')
  return db
}

/** Records events that carry names of the test's choice, in a transaction of their own or in an open one. */
export async function record(sql: Database | Transaction, ...names: string[]): Promise<void> {
  if ('transaction' in sql) return sql.transaction((own) => record(own, ...names))
  const kind = catalogEvents.repositoryDeleted
  await recordEvents(
    sql,
    names.map((name) => ({ kind, data: { repositoryId, name }, repositoryId })),
  )
}

export async function effects(sql: Sql): Promise<string[]> {
  return (await sql.query<{ name: string }>('select name from effect order by nr')).map(({ name }) => name)
}

/** `count` names in order. */
export const names = (count: number, prefix = 'e') => Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`)
