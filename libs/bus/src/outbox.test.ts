import { randomUUID } from 'node:crypto'
import type { Database } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { eventLimitBytes } from './events/event.ts'
import { fitLists, listBudgetBytes } from './fit-lists.ts'
import { catalogEvents, syncEvents } from './index.ts'
import { makeSchema, names, record } from './outbox.fixture.ts'
import { placeEvents, pruneOutbox, readOutbox, recordEvents } from './outbox.ts'

let database: TestDatabase
let db: Database
const open: Database[] = []
beforeAll(async () => {
  database = await makeDatabase()
})
beforeEach(async () => {
  db = await makeSchema(database.url)
  open.push(db)
})
afterAll(async () => {
  await Promise.all(open.map((one) => one.close()))
  await database.drop()
})

const place = () => db.transaction(placeEvents)
const read = async (after = 0) =>
  (await readOutbox(db, after)).events.map(({ position, event }) => ({
    position,
    name: (event.data as { name: string }).name,
  }))

describe('positions', () => {
  test('an event of a transaction that is rolled back has none', async () => {
    await record(db, 'before')
    const failed = db.transaction(async (sql) => {
      await record(sql, 'rolled back')
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    await record(db, 'after')
    expect(await place()).toBe(2)
    expect(await read()).toEqual([
      { position: 1, name: 'before' },
      { position: 2, name: 'after' },
    ])
  })

  test('an event that is not committed yet keeps nobody waiting, and comes after them', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let recorded = () => {}
    const isRecorded = new Promise<void>((resolve) => {
      recorded = resolve
    })
    const slow = db.transaction(async (sql) => {
      await record(sql, 'slow')
      recorded()
      await held
    })
    await isRecorded
    await record(db, 'fast')
    expect(await place()).toBe(1)
    release()
    await slow
    expect(await place()).toBe(2)
    expect((await read()).map(({ name }) => name)).toEqual(['fast', 'slow'])
  })

  test('are dense and in the order of the changes, under eight writers and two that place', async () => {
    await db.query('create table counter as select 0 as value')
    const written = new AbortController()
    const placing = [1, 2].map(async () => {
      while (!written.signal.aborted) await place()
    })
    const write = async () => {
      for (let i = 0; i < 25; i++)
        await db.transaction(async (sql) => {
          const [row] = await sql.query<{ value: number }>('update counter set value = value + 1 returning value')
          await record(sql, `${row?.value} a`, `${row?.value} b`)
        })
    }
    await Promise.all(Array.from({ length: 8 }, write))
    written.abort()
    await Promise.all(placing)
    expect(await place()).toBe(400)
    const wanted = Array.from({ length: 200 }, (_, i) => [`${i + 1} a`, `${i + 1} b`]).flat()
    expect(await read()).toEqual(wanted.map((name, i) => ({ position: i + 1, name })))
  })

  test('what is asked for after a position comes from there, at most 500 at once', async () => {
    await record(db, ...names(600))
    await place()
    expect((await read()).length).toBe(500)
    expect((await read(598)).map(({ position }) => position)).toEqual([599, 600])
    expect(await readOutbox(db, 600)).toEqual({ events: [], tooOld: false, head: 600 })
  })

  test('who asks for what is no longer kept is told so', async () => {
    await record(db, ...names(3))
    await place()
    await db.query(`update outbox set published_at = now() - interval '8 days' where position < 3`)
    await pruneOutbox(db)
    expect(await readOutbox(db, 1)).toMatchObject({ tooOld: true, head: 3 })
    expect(await readOutbox(db, 2)).toMatchObject({ tooOld: false, head: 3 })
  })

  test('what was never published is never pruned', async () => {
    await record(db, 'old')
    await db.query(`update outbox set recorded_at = now() - interval '1 year'`)
    await pruneOutbox(db)
    await place()
    expect(await read()).toHaveLength(1)
  })
})

describe('what an event may hold', () => {
  test('data that break the schema of their kind are not recorded', async () => {
    const event = { kind: catalogEvents.repositoryDeleted, data: { repositoryId: 'no uuid', name: 'x' } }
    await expect(db.transaction((sql) => recordEvents(sql, [event]))).rejects.toThrow(/breaks its schema/)
    await place()
    expect(await read()).toEqual([])
  })

  test('an event above 256 KiB is not recorded', async () => {
    await expect(record(db, 'x'.repeat(eventLimitBytes))).rejects.toThrow(RangeError)
  })

  const tag = (i: number) => `${i}`.padEnd(128, 'x')
  const tags = (count: number) => Array.from({ length: count }, (_, i) => tag(i))
  const from = `sha256:${'a'.repeat(64)}`

  test('1,000 moved tags with the longest names fit, as many of them as can be', async () => {
    const moved = tags(1_000).map((name) => ({ tag: name, from, to: from }))
    const [repositoryId, name] = [randomUUID(), 'a'.repeat(255)]
    const data = { repositoryId, name, version: 1, ...fitLists({ tags: moved }), total: moved.length }
    expect(data.tags.length).toBeGreaterThan(500)
    await db.transaction((sql) => recordEvents(sql, [{ kind: catalogEvents.tagsMoved, data, repositoryId }]))
    expect(await place()).toBe(1)
  })

  test('a run that adds, moves and removes 1,000 such tags each can be announced', async () => {
    const lists = { added: tags(1_000), moved: tags(1_000), removed: tags(1_000) }
    const [runId, remoteId, repositoryId, taskId] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()]
    const ids = { runId, remoteId, remote: 'r', repositoryId, repository: 'a'.repeat(255), taskId }
    const counts = { added: 1_000, moved: 1_000, removed: 1_000 }
    const rest = { version: 1, created: true, tagCounts: counts, bytes: 1, durationMs: 1, failures: [] }
    await db.transaction((sql) =>
      recordEvents(sql, [{ kind: syncEvents.runCompleted, data: { ...ids, ...rest, tags: fitLists(lists) } }]),
    )
    expect(await place()).toBe(1)
  })

  test('lists that fit stay whole, and no list has more than 1,000 entries', () => {
    expect(fitLists({ a: ['x'], b: [] })).toEqual({ a: ['x'], b: [] })
    expect(fitLists({ a: names(1_001) }).a).toEqual(names(1_000))
    const cut = fitLists({ a: Array(1_000).fill('ä'.repeat(500)), b: ['late'] })
    expect(Buffer.byteLength(JSON.stringify(cut.a))).toBeLessThanOrEqual(listBudgetBytes + 2)
    expect(cut.b).toEqual([])
  })
})
