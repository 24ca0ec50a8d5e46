import { createLogger, createMetrics } from '@berth/service'
import { keysOf, makeDatabase, type TestDatabase, testServers } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createHost } from './host.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await makeDatabase()
})
afterAll(() => database.drop())

const hostOf = () =>
  createHost({
    name: 'build',
    source: import.meta.url,
    schemaParts: [],
    config: { databaseUrl: database.url, natsUrl: testServers().natsUrl, ...keysOf('build') },
    peers: [],
    parts: { log: createLogger({ service: 'build', silent: true }), metrics: createMetrics() },
  })

test('a start that fails ends all that it had begun, and tells why', async () => {
  const host = hostOf()
  const stopped: string[] = []
  let runs = 0
  const service = host.service({
    public: () => {},
    commands: {},
    prepare: async ({ keep, loop }) => {
      keep('first', { stop: () => void stopped.push('first') })
      const looping = loop('second', { everyMs: 1, failure: 'no run', run: async () => void runs++ })
      keep('third', { stop: () => void stopped.push('third') })
      await looping.stop()
      throw new Error('no keys')
    },
  })
  await expect(service.start()).rejects.toThrow('no keys')
  expect(stopped).toEqual(['third', 'first'])
  expect(runs).toBeGreaterThan(0)
  await expect(host.db.query('select 1')).rejects.toMatchObject({
    cause: { message: expect.stringContaining('after calling end on the pool') },
  })
})

test('a service may not follow one that it does not say it asks', async () => {
  const service = hostOf().service({
    public: () => {},
    commands: {},
    start: async ({ follow }) => void follow({ consumer: 'x', source: 'tasks', handle: async () => {} }),
  })
  // The tables of events are not there either, but the client is looked for when the follower is made.
  await expect(service.start()).rejects.toThrow('build does not say that it asks tasks')
})
