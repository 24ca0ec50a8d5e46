import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { type Database, openDatabase } from './database.ts'
import { makeDatabase } from './testing/index.ts'

let made: Awaited<ReturnType<typeof makeDatabase>>
let db: Database
let rival: pg.Client

beforeAll(async () => {
  made = await makeDatabase()
  db = openDatabase({ url: made.url, schema: 'public', max: 2 })
  rival = new pg.Client({ connectionString: made.url })
  await rival.connect()
  await rival.query(`
    create table counted (id integer primary key, count integer not null default 0);
    insert into counted values (1), (2);
    -- Takes the second row, lets the rival wait for it, and takes the first, which the rival has.
    create function count_both() returns void language plpgsql as $$
    begin
      update counted set count = count + 1 where id = 2;
      perform pg_advisory_xact_lock(1), pg_sleep(0.5);
      update counted set count = count + 1 where id = 1;
    end $$`)
})
afterAll(async () => {
  await rival.end()
  await db.close()
  await made.drop()
})

test.each(['of a request', 'in the background'])(
  'a statement by itself %s that loses a deadlock is sent again',
  async (where) => {
    const sql = where === 'of a request' ? db : db.background
    await rival.query("set deadlock_timeout = '60s'; begin; update counted set count = count + 1 where id = 1")
    const single = sql.query('select count_both()')
    const holds = `select from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`
    while ((await rival.query(holds)).rowCount === 0) continue
    const waiting = rival.query('update counted set count = count + 1 where id = 2')
    await waiting
    await rival.query('commit')
    await single
    const { rows } = await rival.query('select count from counted order by id')
    const times = where === 'of a request' ? 2 : 4
    expect(rows).toEqual([{ count: times }, { count: times }])
  },
)
