import { randomUUID } from 'node:crypto'
import { beforeAll, expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { withBerth } from '../berth/with-berth.ts'

const stack = withBerth({ own: true })

/** Sets an event of catalog aside in auth, as one that it could not handle, and answers its id in the API. */
async function bury(data: object, eventId: string = randomUUID()): Promise<string> {
  const event = {
    specversion: '1.0',
    id: eventId,
    type: 'dev.berth.catalog.repository.created.v1',
    data,
    sequence: '1',
  }
  await query(
    stack.databaseUrl ?? '',
    `insert into auth.dead_letter (consumer, event_id, event, reason, attempts) values ('auth-catalog', $1, $2, 'away', 10)`,
    [eventId, JSON.stringify(event)],
  )
  return `auth:auth-catalog:${eventId}`
}
const made = (id: string) => ({ repositoryId: id, name: `letters/${id}`, description: '', labels: {}, ownerId: null })
let good: string
let bad: string
const repository = randomUUID()

beforeAll(async () => {
  good = await bury(made(repository))
  bad = await bury({ repositoryId: 'no id' })
}, 60_000)

test('what was set aside is listed by pages, and shown with its event', async () => {
  const first = await stack.api('GET', '/dead-letters?limit=1')
  const second = await stack.api('GET', `/dead-letters?limit=1&cursor=${first.body.next}`)
  expect([first.body.unavailable, second.body.next]).toEqual([[], null])
  expect(new Set([...first.body.items, ...second.body.items].map(({ id }) => id))).toEqual(new Set([good, bad]))
  expect((await stack.api('GET', `/dead-letters/${good}`)).body).toMatchObject({
    id: good,
    service: 'auth',
    consumer: 'auth-catalog',
    type: 'dev.berth.catalog.repository.created.v1',
    reason: 'away',
    attempts: 10,
    event: { data: { repositoryId: repository } },
  })
  expect((await stack.api('GET', '/dead-letters?cursor=bm8')).status).toBe(400)
  for (const id of ['auth', `auth:auth-catalog:${randomUUID()}`, `nobody:x:${randomUUID()}`, `build:x:${randomUUID()}`])
    expect((await stack.api('GET', `/dead-letters/${id}`)).status).toBe(404)
})

test('one is handled once its cause is mended, and is then no more; one that fails again stays, with the reason', async () => {
  const replay = (id: string) => stack.api('POST', `/dead-letters/${id}/replay`)
  expect((await replay(good)).status).toBe(204)
  const objects = await query(stack.databaseUrl ?? '', 'select name from auth.object where id = $1', [repository])
  expect(objects).toEqual([{ name: `letters/${repository}` }])
  expect((await replay(good)).status).toBe(404)
  const refused = await replay(bad)
  expect([refused.status, refused.body.code]).toEqual([409, 'still_fails'])
  expect((await stack.api('GET', `/dead-letters/${bad}`)).body).toMatchObject({ attempts: 11 })
  const unknown = await bury(made(randomUUID())).then(async (id) => {
    await query(stack.databaseUrl ?? '', `update auth.dead_letter set consumer = 'of-old' where event_id = $1`, [
      id.split(':')[2],
    ])
    return id.replace('auth-catalog', 'of-old')
  })
  expect((await replay(unknown)).body.code).toBe('consumer_gone')
})
