import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { adminRights } from '@berth/access'
import { applyMigrations, type Database, openDatabase, type Principal } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { createExports, type ExportCsv } from './export.ts'
import { ensureMonths } from './months.ts'

let database: TestDatabase
let db: Database
const closing: (() => void)[] = []
beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'tasks', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'tasks' })
  await ensureMonths(db, ['2026-11-29T00:00:00.000Z'])
  // More than the buffers of a connection hold.
  await db.query(
    `insert into audit (at, service, number, request_id, action, actor, object_kind, detail, result, count)
     select '2026-11-29', 'catalog', n, '', 'doIt', 'ann', 'thing', repeat('x', 1000), 'done', 1
     from generate_series(1, 20000) as n`,
  )
})
afterEach(() => {
  for (const close of closing.splice(0)) close()
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

const someone = (): Principal => ({ id: randomUUID(), name: 'x', admin: true, rights: adminRights(randomUUID()) })

/** Asks for an export over a real connection, of which the answer is not read; `ended` says how it ended. */
async function begin(exportCsv: ExportCsv, principal: Principal) {
  const ended = Promise.withResolvers<unknown>()
  const server = createServer((_request, response) => {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    exportCsv({ principal, response, signal: gone.signal }, {}).then(ended.resolve, (error: unknown) => {
      ended.resolve(error)
      response.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const request = get({ port: (server.address() as AddressInfo).port })
  const answer = once(request, 'response').then(
    ([response]) => response as IncomingMessage,
    () => undefined,
  )
  return { ended: ended.promise, answer: await answer }
}

test('of an account two are exported at a time, however slowly it reads, and others get theirs', async () => {
  const exportCsv = createExports(db)
  const [slow, other] = [someone(), someone()]
  await begin(exportCsv, slow)
  await begin(exportCsv, slow)
  expect(await (await begin(exportCsv, slow)).ended).toMatchObject({ status: 429, code: 'too_many_exports' })
  const read = await begin(exportCsv, other)
  const text = Buffer.concat((await read.answer?.toArray()) ?? []).toString()
  expect(text.split('\r\n')).toHaveLength(20_002)
})

test('a reader that takes nothing for half a minute is cut, and leaves its place', async () => {
  const exportCsv = createExports(db, 100)
  const slow = someone()
  for (const one of [await begin(exportCsv, slow), await begin(exportCsv, slow)])
    expect(await one.ended).toBeUndefined()
  const read = await begin(exportCsv, slow)
  expect(await read.answer?.toArray()).not.toEqual([])
})
