import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { adminRights } from '@berth/access'
import { catalogEvents, typeOf } from '@berth/bus'
import { type ApiRequest, createLogger, type Database, openDatabase, type Principal } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type StartedTasks, startTasks } from '../testing/started.fixture.ts'
import { forgetEvents, logEvents } from './log-event.ts'
import { createOwners } from './owners.ts'
import { streamEvents } from './stream.ts'
import { startTail, type Tail } from './tail.ts'

let database: TestDatabase
let replica: StartedTasks
let db: Database
let tail: Tail
const admin: Principal = { id: randomUUID(), name: 'admin', admin: true, rights: adminRights(randomUUID()) }
const nobodyAsked = {
  rows: () => {
    throw new Error('nobody is asked')
  },
} as never
const owners = createOwners({ catalog: nobodyAsked, sync: nobodyAsked })
const neverAborted = new AbortController().signal

beforeAll(async () => {
  database = await makeDatabase()
  replica = await startTasks(database.url)
  db = openDatabase({ url: database.url, schema: 'tasks' })
  tail = startTail(db, createLogger({ service: 'tasks', level: 'error' }))
})
afterAll(async () => {
  await tail?.stop()
  await db?.close()
  await replica?.stop()
  await database?.drop()
})

const log = (name: string) =>
  db.transaction((sql) =>
    logEvents(
      sql,
      [
        {
          specversion: '1.0',
          id: randomUUID(),
          source: '/services/catalog',
          type: typeOf(catalogEvents.repositoryCreated),
          time: new Date().toISOString(),
          datacontenttype: 'application/json',
          data: { repositoryId: randomUUID(), name, description: '', labels: {}, ownerId: null },
        },
      ],
      owners,
    ),
  )

/** Streams to a reader over a real connection, and answers both ends of it. */
async function streamTo(
  reader: { whoNow?: () => Promise<Principal | undefined>; after?: number },
  times: { lookAgainMs: number; slowMs: number },
) {
  const ended = Promise.withResolvers<unknown>()
  const server = createServer((_request, response: ServerResponse) => {
    streamEvents(
      { db, tail, times },
      {
        response: response as ApiRequest['response'],
        signal: neverAborted,
        principal: admin,
        whoNow: reader.whoNow ?? (async () => admin),
        after: reader.after,
        filter: () => true,
      },
    ).then(() => ended.resolve('left'), ended.resolve)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', agent: false })
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  const close = async () => {
    request.destroy()
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return { answer, ended: ended.promise, close }
}

test('a stream ends when the login of its reader has ended, and not while nobody can say', async () => {
  let asked = 0
  const whoNow = async () => {
    asked++
    if (asked < 3) throw new Error('auth is away')
    return undefined
  }
  const { ended, close, answer } = await streamTo({ whoNow }, { lookAgainMs: 5, slowMs: 1_000 })
  answer.resume()
  expect(await ended).toBe('left')
  expect(asked).toBe(3)
  await close()
})

test('a reader that takes nothing is cut, and holds nobody up', async () => {
  const long = 'x'.repeat(200_000)
  for (let n = 0; n < 60; n++) await log(`${long}${n}`)
  const { answer, ended, close } = await streamTo({ after: 0 }, { lookAgainMs: 30_000, slowMs: 100 })
  answer.pause()
  expect(String(await ended)).toMatch(/abort/i)
  await close()
})

test('events are forgotten after seven days, the oldest first, and no others', async () => {
  await log('young')
  await db.query(`update event_log set logged_at = now() - interval '8 days' where id <= 3`)
  expect(await forgetEvents(db, neverAborted)).toBe(3)
  expect(await forgetEvents(db, neverAborted)).toBe(0)
  expect(await db.query('select min(id)::integer as least from event_log')).toEqual([{ least: 4 }])
})

test('whoever reads up to an id has missed nothing, however many write at once', async () => {
  const [before] = await db.query<{ last: number }>('select last from event_log_head')
  const seen = new Set<number>()
  const reading = (async () => {
    const first = before?.last ?? 0
    for (let after = first; after < first + 100; ) {
      const rows = await db.query<{ id: number }>('select id from event_log where id > $1 order by id', [after])
      for (const { id } of rows) seen.add(id)
      after = rows.at(-1)?.id ?? after
    }
  })()
  await Promise.all(
    Array.from({ length: 5 }, async (_, n) => {
      for (let i = 0; i < 20; i++) await log(`many/${n}-${i}`)
    }),
  )
  await reading
  expect(seen.size).toBe(100)
})
