import { readFileSync } from 'node:fs'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'

const migration = (name: string) => readFileSync(new URL(`./migrations/${name}/migration.sql`, import.meta.url), 'utf8')
let database: TestDatabase
let sql: pg.Client
beforeAll(async () => {
  database = await makeDatabase()
  sql = new pg.Client({ connectionString: database.url })
  await sql.connect()
})
afterAll(async () => {
  await sql?.end()
  await database?.drop()
})

test('accounts from before there were grants stay, and none is called as the group of everybody', async () => {
  await sql.query(migration('20261129000100_accounts'))
  await sql.query(`
    insert into account (id, name, password_hash, is_admin, session_epoch)
    values ('11111111-1111-4111-8111-111111111111', 'admin', 'a', true, 3),
      ('22222222-2222-4222-8222-222222222222', 'authenticated', 'b', false, 0)`)
  await sql.query(migration('20261129000200_access'))
  const accounts = await sql.query(
    'select name, password_hash, is_admin, is_active, session_epoch::text from account order by name',
  )
  expect(accounts.rows).toEqual([
    { name: 'admin', password_hash: 'a', is_admin: true, is_active: true, session_epoch: '3' },
    { name: 'authenticated-22222222', password_hash: 'b', is_admin: false, is_active: true, session_epoch: '0' },
  ])
  const holders = await sql.query('select kind, name from holder order by name')
  expect(holders.rows).toEqual([
    { kind: 'user', name: 'admin' },
    { kind: 'group', name: 'authenticated' },
    { kind: 'user', name: 'authenticated-22222222' },
  ])
})
