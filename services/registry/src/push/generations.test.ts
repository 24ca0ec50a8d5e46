import { type CatalogCommands, type CommandClient, commandsOf } from '@berth/commands'
import { closeServer, createInternalClient, createInternalServer, createLogger, listen, Problem } from '@berth/service'
import { privateKeyOf, publicKeys } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { createGenerations } from './generations.ts'

const hourMs = 3_600_000
const told = { next: 1, asked: 0, isAway: false }

// The owner of the numbers, as it answers over HTTP: they rise, and it may refuse.
const commands = {
  'take-generations': async ({ count }: { count: number }) => {
    told.asked++
    if (told.isAway) throw new Problem(503, 'database_unavailable', 'PostgreSQL does not answer.')
    const first = told.next
    told.next += count
    return { numbers: Array.from({ length: count }, (_, i) => first + i) }
  },
}

let stop: () => Promise<void>
let client: CommandClient<CatalogCommands>
beforeAll(async () => {
  const log = createLogger({ service: 'catalog', silent: true })
  const server = await listen(createInternalServer({ service: 'catalog', publicKeys, log, commands }), {
    port: 0,
    host: '127.0.0.1',
  })
  const internal = createInternalClient({
    baseUrl: `http://127.0.0.1:${server.port}`,
    from: 'registry',
    to: 'catalog',
    privateKey: privateKeyOf('registry'),
  })
  client = commandsOf<CatalogCommands>(internal)
  stop = async () => {
    await internal.close()
    await closeServer(server.server, 0)
  }
})
afterAll(() => stop?.())
beforeEach(() => {
  Object.assign(told, { next: 1, asked: 0, isAway: false })
})

test('no number comes twice, and catalog is asked once in several hundred', async () => {
  const generations = createGenerations(client)
  const taken: number[] = []
  for (let i = 0; i < 5_000; i++) taken.push(await generations.take())
  expect(new Set(taken).size).toBe(5_000)
  expect(told.asked).toBeLessThan(10)
})

test('those who ask at once share a question', async () => {
  const generations = createGenerations(client)
  const taken = await Promise.all(Array.from({ length: 100 }, () => generations.take()))
  expect(new Set(taken).size).toBe(100)
  expect(told.asked).toBeLessThan(3)
})

test('a number is not used for longer than an hour after it was handed out', async () => {
  let now = 0
  const generations = createGenerations(client, () => now)
  expect(await generations.take()).toBeLessThan(1_001)
  now += hourMs + 1
  expect(generations.takeAtHand()).toBeUndefined()
  expect(await generations.take()).toBeGreaterThan(1_000)
  expect(told.asked).toBe(2)
})

test('while catalog is away those at hand are used up, then it says so, and goes on when catalog is back', async () => {
  const generations = createGenerations(client)
  await generations.take()
  told.isAway = true
  for (let i = 1; i < 1_000; i++) await generations.take()
  expect(generations.takeAtHand()).toBeUndefined()
  await expect(generations.take()).rejects.toMatchObject({ status: 503 })
  told.isAway = false
  expect(await generations.take()).toBeGreaterThan(1_000)
})
