import { randomUUID } from 'node:crypto'
import { applyMigrations, createLogger, type Database, openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import type { BuildLine } from '../engines/engine.ts'
import { readLines } from './read-log.ts'
import { lineAfter } from './stream-log.ts'
import { openLog } from './write-log.ts'

const log = createLogger({ service: 'build', silent: true })
let database: TestDatabase
let db: Database

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'build', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'build' })
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

async function addBuild(): Promise<string> {
  const id = randomUUID()
  await db.query(
    `insert into build (id, repository, tag, state, created_by) values ($1, 'team/app', 'latest', 'running', 'ann')`,
    [id],
  )
  return id
}

const lineOf = (text: string): BuildLine => ({ at: new Date(0).toISOString(), step: '1/2', stream: 'stdout', text })

async function readAll(id: string): Promise<string[]> {
  const texts: string[] = []
  for (let after = 0; ; ) {
    const { lines } = await readLines(db, id, after)
    const last = lines.at(-1)
    if (!last) return texts
    texts.push(...lines.map(({ text }) => text))
    after = last.line
  }
}

test('lines keep their order and their colours, also over two attempts, and what no database takes is left out', async () => {
  const id = await addBuild()
  for (const attempt of [1, 2]) {
    const writer = await openLog(db, log, id)
    for (let n = 0; n < 700; n++) writer.add(lineOf(`${attempt}.${n}`))
    writer.add(lineOf('\u001b[32mgreen\u001b[0m a\0b \ud800'))
    await writer.close()
  }
  const all = await readAll(id)
  expect(all).toHaveLength(1_402)
  expect(all.slice(0, 2)).toEqual(['1.0', '1.1'])
  expect(all[700]).toBe('\u001b[32mgreen\u001b[0m ab \ufffd')
  expect(all[701]).toBe('2.0')
})

test('a log ends at 16 MiB, says so once, and takes no more from a later attempt', async () => {
  const id = await addBuild()
  const text = 'x'.repeat(16 << 10)
  for (let attempt = 0; attempt < 2; attempt++) {
    const writer = await openLog(db, log, id)
    for (let n = 0; n < 1_100; n++) writer.add(lineOf(text))
    await writer.close()
  }
  const all = await readAll(id)
  expect(all.reduce((sum, one) => sum + one.length, 0)).toBeLessThan(16 << 20)
  expect(all.filter((one) => one.includes('is cut here'))).toHaveLength(1)
  expect(all.at(-1)).toContain('is cut here')
})

test.each(['x', '-1', '1.5', '9'.repeat(16)])('"%s" is the id of no line', (text) => {
  expect(() => lineAfter(text)).toThrow('Last-Event-ID')
})
