import { randomUUID } from 'node:crypto'
import { catalogEvents, type EventKind, syncEvents, typeOf } from '@berth/bus'
import type { AccessObjectRow } from '@berth/commands'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { findObject } from '../objects/object.ts'
import { findServed } from '../objects/served.ts'
import { type People, startPeople } from '../testing/people.fixture.ts'
import { noteObject } from './on-event.ts'
import { takeSnapshot } from './take-snapshot.ts'

let people: People
beforeAll(async () => {
  people = await startPeople('ann')
}, 60_000)
afterAll(() => people?.stop())

const tell = <Data>(kind: EventKind<Data>, data: Data) =>
  people.db.transaction((sql) => noteObject(sql, { type: typeOf(kind), data }))
const host = { host: 'example.org', policy: 'immediate' }
const neverAborted = new AbortController().signal
const row = (more: Pick<AccessObjectRow, 'kind' | 'name'> & Partial<AccessObjectRow>): AccessObjectRow => ({
  id: randomUUID(),
  repositoryId: null,
  viaId: null,
  ownerId: null,
  isPublic: false,
  ...more,
})
/** Takes a snapshot of what catalog would say; `meanwhile` happens after the first row. */
const compare = async (rows: AccessObjectRow[], meanwhile = async () => {}) => {
  const said = async function* () {
    for (const [place, one] of rows.entries()) {
      yield one
      if (place === 0) await meanwhile()
    }
  }
  await takeSnapshot(people.db, { kinds: ['repository', 'distribution'], rows: said }, neverAborted)
}
const names = async (kind: string) =>
  (await people.db.query<{ name: string }>('select name from object where kind = $1 order by name', [kind])).map(
    ({ name }) => name,
  )

test('the copy has what catalog and sync announce, repeated or not', async () => {
  const [repositoryId, id, remoteId, ownerId, via] = Array.from({ length: 5 }, () => randomUUID()) as [
    string,
    string,
    string,
    string,
    string,
  ]
  for (let times = 0; times < 2; times++) {
    await tell(catalogEvents.repositoryCreated, {
      repositoryId,
      name: 'team/app',
      description: '',
      labels: {},
      ownerId,
    })
    await tell(catalogEvents.distributionPointed, {
      id,
      basePath: 'team/app',
      repositoryId,
      version: null,
      ownerId,
      via,
    })
    await tell(syncEvents.remoteCreated, { id: remoteId, name: 'hub', ...host, ownerId })
  }
  // These say nothing of the owner, nor of how it came.
  await tell(catalogEvents.distributionPointed, { id, basePath: 'team/app', repositoryId, version: 3 })
  await tell(syncEvents.remoteUpdated, { id: remoteId, name: 'hub2', ...host })
  expect(await findObject(people.db, 'repository', 'team/app')).toEqual({
    kind: 'repository',
    id: repositoryId,
    name: 'team/app',
    ownerId,
  })
  expect(await findObject(people.db, 'remote', remoteId)).toMatchObject({ name: 'hub2', ownerId })
  const [copied] = await people.db.query('select owner_id, via_id, repository_id from object where id = $1', [id])
  expect(copied).toEqual({ owner_id: ownerId, via_id: via, repository_id: repositoryId })
  const served = await findServed(people.db, ['team/app', 'none'])
  expect(served.get('team/app')).toMatchObject({
    distribution: { id },
    repository: { id: repositoryId, name: 'team/app' },
  })
  await tell(catalogEvents.distributionDeleted, { id, basePath: 'team/app' })
  await tell(catalogEvents.repositoryDeleted, { repositoryId, name: 'team/app' })
  await tell(syncEvents.remoteDeleted, { id: remoteId, name: 'hub2', ...host })
  expect(await people.db.query('select * from object')).toEqual([])
})

test('with an object goes what was granted on it, which is announced, and one of its name inherits nothing', async () => {
  const made = async () => {
    const id = randomUUID()
    await tell(catalogEvents.distributionPointed, { id, basePath: 'gone/app', repositoryId: null, version: null })
    return id
  }
  const id = await made()
  const grant = await people.grant({ user: 'ann' }, 'puller', 'distribution:gone/app')
  const scope = 'repository:gone/app:pull'
  expect(await people.granted('ann', scope)).toBe(scope)
  await tell(catalogEvents.distributionDeleted, { id, basePath: 'gone/app' })
  expect(await people.granted('ann', scope)).toBe('')
  await people.ask('admin', 'get', `/grants/${grant}`).expect(404)
  await made()
  expect(await people.granted('ann', scope)).toBe('')
  const told = await people.db.query<{ on: string }>(
    `select event -> 'data' ->> 'on' as on
     from outbox
     where event ->> 'type' = 'dev.berth.auth.grant.deleted.v1'`,
  )
  expect(told).toEqual([{ on: 'distribution:gone/app' }])
  await people.db.query('delete from object')
})

test('a snapshot brings what was missed: new, changed and gone, of the kinds of its service only', async () => {
  const [stays, moves, goes] = await Promise.all(
    ['stays', 'moves', 'goes'].map((name) => people.told({ kind: 'repository', name })),
  )
  await people.told({ kind: 'remote', name: 'hub' })
  await people.grant({ user: 'ann' }, 'puller', 'repository:goes')
  await people.grant({ user: 'ann' }, 'puller', 'repository:stays')
  const many = Array.from({ length: 2_500 }, (_, n) => row({ kind: 'distribution', name: `many/${n}` }))
  await compare([
    row({ kind: 'repository', name: 'stays', id: stays }),
    row({ kind: 'repository', name: 'moved', id: moves }),
    ...many,
  ])
  expect(await names('repository')).toEqual(['moved', 'stays'])
  expect(await names('distribution')).toHaveLength(2_500)
  expect(await names('remote')).toEqual(['hub'])
  const { body } = await people.ask('ann', 'get', '/me/permissions').expect(200)
  expect(body.grants.map(({ on }: { on: string }) => on)).toEqual(['repository:stays'])
  expect(goes).toBeDefined()
})

test('two objects that exchanged their names keep what was granted on each', async () => {
  const [one, other] = await Promise.all(['one', 'other'].map((name) => people.told({ kind: 'repository', name })))
  await people.grant({ user: 'ann' }, 'puller', 'repository:one')
  await compare([
    row({ kind: 'repository', name: 'other', id: one }),
    row({ kind: 'repository', name: 'one', id: other }),
  ])
  const { body } = await people.ask('ann', 'get', '/me/permissions').expect(200)
  expect(body.grants.map(({ on }: { on: string }) => on)).toContain('repository:other')
})

test('what is announced while a snapshot is taken is newer than it, and stays', async () => {
  const [moved, known] = [randomUUID(), randomUUID()]
  await tell(catalogEvents.repositoryCreated, { repositoryId: moved, name: 'before', description: '', labels: {} })
  await compare(
    [row({ kind: 'repository', name: 'first' }), row({ kind: 'repository', name: 'before', id: moved })],
    async () => {
      await tell(catalogEvents.repositoryCreated, {
        repositoryId: known,
        name: 'meanwhile',
        description: '',
        labels: {},
      })
      await tell(catalogEvents.repositoryCreated, { repositoryId: moved, name: 'after', description: '', labels: {} })
    },
  )
  expect(await names('repository')).toEqual(['after', 'first', 'meanwhile'])
})
