import { randomUUID } from 'node:crypto'
import { createLogger, type Database, openDatabase, type Sql } from '@berth/service'
import { catalogEvents } from './index.ts'
import { recordEvents } from './outbox.ts'

export const log = createLogger({ service: 'test', silent: true })
const repositoryId = randomUUID()

/** A schema with the tables of the bus, and one that keeps the effects of events in the order in which they had them. */
export async function makeSchema(url: string): Promise<Database> {
  const schema = `s_${randomUUID().replaceAll('-', '')}`
  const db = openDatabase({ url, schema, max: 12 })
  await db.query(`create schema ${schema}`)
  await db.pool.query(tables)
  return db
}

const tables = `
create table outbox (
  id uuid primary key, seq bigint generated always as identity, position bigint unique, subject text not null,
  event jsonb not null, recorded_at timestamptz not null default now(), published_at timestamptz,
  event_bytes integer generated always as (octet_length(event::text)) stored);
create table outbox_head (id boolean primary key default true check (id), position bigint not null default 0, restored text);
create table outbox_jump (from_position bigint primary key, until bigint not null, by bigint not null, made_at timestamptz not null default now());
insert into outbox_head default values;
create table inbox (
  consumer text not null, source text not null, position bigint not null,
  handled_at timestamptz not null default now(), primary key (consumer, source));
create table dead_letter (
  consumer text not null, event_id uuid not null, event jsonb not null, reason text not null, attempts integer not null,
  buried_at timestamptz not null default now(), primary key (consumer, event_id));
create table effect (nr bigint generated always as identity, name text not null)`

/** Records one event, which carries a name of the test's choice. */
export async function record(sql: Sql, ...names: string[]): Promise<void> {
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
