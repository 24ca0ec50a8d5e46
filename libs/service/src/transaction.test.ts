import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Database, openDatabase } from './database.ts'
import { createSignal } from './signal.ts'
import { makeDatabase } from './testing/index.ts'

let made: Awaited<ReturnType<typeof makeDatabase>>
let db: Database
const told: Error[] = []

beforeAll(async () => {
  made = await makeDatabase()
  db = openDatabase({ url: made.url, schema: 'public', max: 2, onError: (error) => told.push(error) })
  await db.query('create table note (id integer primary key)')
})
afterAll(async () => {
  await db.close()
  await made.drop()
})

const notes = async () => (await db.query<{ id: number }>('select id from note order by id')).map(({ id }) => id)

test('a statement that nobody waits for is part of the transaction', async () => {
  await db.transaction(async (sql) => {
    sql.later(sql.query('insert into note values (1)'))
    sql.later(sql.query('insert into note values (2)'))
  })
  expect(await notes()).toEqual([1, 2])
})

test('when such a statement fails, everything is undone and its own error is told', async () => {
  const twice = db.transaction(async (sql) => {
    await sql.query('insert into note values (3)')
    sql.later(sql.query('insert into note values (1)'))
  })
  await expect(twice).rejects.toMatchObject({ code: '23505' })
  const goingOn = db.transaction(async (sql) => {
    sql.later(sql.query('insert into note values (1)'))
    await sql.query('insert into note values (4)')
  })
  await expect(goingOn).rejects.toMatchObject({ code: '23505' })
  expect(await notes()).toEqual([1, 2])
})

test('work that fails undoes what was sent', async () => {
  const failing = db.transaction(async (sql) => {
    sql.later(sql.query('insert into note values (5)'))
    throw new Error('changed its mind')
  })
  await expect(failing).rejects.toThrow('changed its mind')
  expect(await notes()).toEqual([1, 2])
})

test('a signal is heard once its transaction is committed, with all that it carried, and never when it is not', async () => {
  const noted = createSignal<number>('noted')
  const heard: number[][] = []
  const forget = db.onCommit(noted, (ids) => void heard.push(ids))
  const failing = db.transaction(async (sql) => {
    sql.afterCommit(noted, 6)
    throw new Error('changed its mind')
  })
  await expect(failing).rejects.toThrow('changed its mind')
  await db.background.transaction(async (sql) => {
    sql.afterCommit(noted, 7)
    sql.afterCommit(noted, 8)
    await sql.query('insert into note values (7), (8)')
    expect(heard).toEqual([])
  })
  expect(heard).toEqual([[7, 8]])
  forget()
  await db.transaction(async (sql) => sql.afterCommit(noted, 9))
  expect(heard).toHaveLength(1)
})

test('a listener that throws undoes nothing and keeps no other from hearing', async () => {
  const noted = createSignal('noted')
  let heard = 0
  db.onCommit(noted, () => {
    throw new Error('deaf')
  })
  db.onCommit(noted, () => void heard++)
  await db.transaction(async (sql) => {
    sql.afterCommit(noted)
    await sql.query('insert into note values (10)')
  })
  expect(heard).toBe(1)
  expect(told).toMatchObject([{ message: 'deaf' }])
  expect(await notes()).toContain(10)
})
