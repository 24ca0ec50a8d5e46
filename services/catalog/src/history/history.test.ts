import { randomUUID } from 'node:crypto'
import { adminRights, type Rights } from '@berth/access'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { curate } from '../curation/curate.ts'
import { insertDistribution, updateDistribution } from '../distributions/write.ts'
import { beginEdit, removeManifests, removeTags, setTags } from '../intervals/edit.ts'
import { type Catalog, idOf, pushManifest, startCatalog } from '../testing/catalog.fixture.ts'
import { contentQuery } from '../versions/content.ts'
import { deleteVersion } from '../versions/drop-versions.ts'
import { finishVersion } from '../versions/finish.ts'
import { lockRepository } from '../versions/repository-lock.ts'
import { distributionAt, distributionHistory } from './distributions.ts'
import { forgetHistory } from './forget.ts'
import { tagAt, tagHistory } from './tags.ts'

const actor = { id: randomUUID(), name: 'bob' }
const rights = adminRights(randomUUID())
let catalog: Catalog
beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog?.stop())

const setTag = async (name: string, tag: string, digest: Awaited<ReturnType<typeof pushManifest>>) => {
  const repositoryId = await idOf(catalog.db, name)
  return curate(catalog.db, { repositoryId, actor, cause: 'tag' }, (sql, edit) =>
    setTags(sql, edit, [{ name: tag, digest }]),
  )
}
const historyOf = (repositoryId: string, tag: string) =>
  tagHistory(catalog.db, { repositoryId, tag, before: undefined, rows: 100 })
const newDistribution = (name: string, repositoryId: string, version: number | null = null) =>
  catalog.db.transaction((sql) =>
    insertDistribution(sql, { name, basePath: name, version }, { repositoryId }, { actor, ownerId: null }),
  )
const servedBy = (distributionId: string, as: Rights = rights) =>
  distributionHistory(catalog.db, { distributionId, after: undefined, rows: 100, rights: as })

test('a tag that was moved, deleted and set again says who did each, and what its repository has no more', async () => {
  const name = 'tell/app'
  const one = await pushManifest(catalog.db, name, { name: 'tell one' }, ['prod'])
  const two = await pushManifest(catalog.db, name, { name: 'tell two' }, ['other'])
  await setTag(name, 'prod', two)
  const id = await idOf(catalog.db, name)
  await curate(catalog.db, { repositoryId: id, actor, cause: 'untag' }, (sql, edit) => removeTags(sql, edit, ['prod']))
  await setTag(name, 'prod', one)
  const entries = await historyOf(id, 'prod')
  expect(entries).toMatchObject([
    { digest: one, version: 5, to: null, cause: 'tag', changedBy: 'bob', changedById: actor.id, available: true },
    { digest: two, version: 3, cause: 'tag', changedBy: 'bob', available: true },
    { digest: one, version: 1, cause: 'push', changedBy: 'ana', changedById: null, available: true },
  ])
  expect(entries[2]?.to).toBe(entries[1]?.from)
  expect((entries[1]?.to ?? '') < (entries[0]?.from ?? '')).toBe(true)
  const { text, values } = contentQuery('tag', { repositoryId: id, version: 5, after: '', rows: 10 }, {})
  const items = (await catalog.db.query<{ item: object }>(text, values)).map(({ item }) => item)
  expect(items).toMatchObject([
    { name: 'other', pushedBy: 'ana', pushedById: null },
    { name: 'prod', pushedBy: 'bob', pushedById: actor.id },
  ])
})

test('the times of versions rise, also where a transaction that began first comes second', async () => {
  const name = 'rise/app'
  const first = await pushManifest(catalog.db, name, { name: 'rise 1' }, ['a'])
  const id = await idOf(catalog.db, name)
  await catalog.db.transaction(async (sql) => {
    await sql.query('select now()')
    await pushManifest(catalog.db, name, { name: 'rise 2' }, ['a'])
    const repository = await lockRepository(sql, id)
    const edit = beginEdit(repository)
    await setTags(sql, edit, [{ name: 'a', digest: first }])
    await finishVersion(sql, repository, edit, { cause: 'tag', actor, taskId: null })
  })
  const times = (await historyOf(id, 'a')).map(({ from }) => from)
  expect(times).toHaveLength(3)
  expect([...times].sort().reverse()).toEqual(times)
})

test('a distribution tells of promotions and of versions that it followed, and what it was pointed at by whom', async () => {
  const name = 'point/app'
  await pushManifest(catalog.db, name, { name: 'point 1' }, ['a'])
  const id = await idOf(catalog.db, name)
  const distributionId = await newDistribution('point/prod', id, 1)
  await pushManifest(catalog.db, name, { name: 'point 2' }, ['a'])
  const change = (update: Parameters<typeof updateDistribution>[2]) =>
    catalog.db.transaction((sql) => updateDistribution(sql, distributionId, update, actor))
  await change({ version: null })
  await change({ warning: 'changes nothing that is served' })
  await pushManifest(catalog.db, name, { name: 'point 3' }, ['a'])
  await change({ version: 1 })
  expect(await servedBy(distributionId)).toMatchObject([
    { version: 1, pinned: true, cause: 'promote', changedBy: 'bob', to: null },
    { version: 3, pinned: false, cause: 'push', changedBy: 'ana' },
    { version: 2, pinned: false, cause: 'promote', changedBy: 'bob', changedById: actor.id },
    { version: 1, pinned: true, cause: 'create', changedBy: 'bob' },
  ])
})

test('what a distribution served is told when the repository is gone, and to who may read that alone', async () => {
  const [old, next] = ['leave/old', 'leave/next']
  const digest = await pushManifest(catalog.db, old, { name: 'leave 1' }, ['a'])
  await pushManifest(catalog.db, next, { name: 'leave 2' }, ['a'])
  const repositoryId = await idOf(catalog.db, old)
  const distributionId = await newDistribution('leave/prod', repositoryId)
  const [then] = await catalog.db.query<{ time: string }>('select clock_timestamp()::text as time')
  const at = (tag: string | undefined, as: Rights) =>
    distributionAt(catalog.db, {
      distribution: { id: distributionId, name: 'leave/prod' },
      time: then?.time ?? '',
      tag,
      rights: as,
    })
  await catalog.db.transaction(async (sql) =>
    updateDistribution(sql, distributionId, { repositoryId: await idOf(catalog.db, next) }, actor),
  )
  await catalog.db.query('delete from distribution where repository_id = $1', [repositoryId])
  await catalog.db.query('delete from repository where id = $1', [repositoryId])
  expect(await at('a', rights)).toMatchObject({ repository: old, version: 1, available: false, digest })
  const nobody: Rights = { accountId: randomUUID(), grants: [] }
  expect(await servedBy(distributionId, nobody)).toMatchObject([
    { repository: next, version: 1 },
    { repository: null, repositoryId: null, version: 1 },
  ])
  await expect(at('a', nobody)).rejects.toMatchObject({ status: 404, code: 'tag_not_found' })
})

test('what ended longer ago than history is kept is forgotten, and nothing wrong is said of that time', async () => {
  const name = 'forget/app'
  await pushManifest(catalog.db, name, { name: 'forget kept' }, ['kept'])
  const push = (n: number) => pushManifest(catalog.db, name, { name: `forget ${n}` }, ['a'])
  const second = await push(2)
  await push(3)
  const repositoryId = await idOf(catalog.db, name)
  await curate(catalog.db, { repositoryId, actor, cause: 'remove' }, (sql, edit) =>
    removeManifests(sql, edit, [second]),
  )
  await push(5)
  await push(6)
  const distributionId = await newDistribution('forget/prod', repositoryId, 5)
  const before = await historyOf(repositoryId, 'a')
  expect(before.map(({ version }) => version)).toEqual([6, 5, 3, 2])
  for (const number of [0, 1, 2, 3, 4]) await deleteVersion(catalog.db, { repositoryId, number, actor })
  const sameButGone = before.map((entry) => ({ ...entry, available: entry.version > 2 }))
  expect(await historyOf(repositoryId, 'a')).toEqual(sameButGone)
  const forget = () => forgetHistory(catalog.db, 400, new AbortController().signal)
  await forget()
  expect(await historyOf(repositoryId, 'a')).toEqual(sameButGone)
  await catalog.db.query(
    'update version_history set gone_at = now() - make_interval(days => 401) where repository_id = $1 and number < 3',
    [repositoryId],
  )
  await catalog.db.query(
    'update distribution_history set since = now() - make_interval(days => 401) where distribution_id = $1',
    [distributionId],
  )
  await forget()
  expect(await historyOf(repositoryId, 'a')).toEqual(sameButGone.slice(0, 3))
  const time = before[3]?.from ?? ''
  await expect(tagAt(catalog.db, { repositoryId, tag: 'a', time })).rejects.toMatchObject({ code: 'history_unknown' })
  // It stands since, so since when is known, and who did it no more.
  expect(await historyOf(repositoryId, 'kept')).toMatchObject([
    { version: 1, from: expect.any(String), to: null, cause: null, changedBy: null, available: true },
  ])
  expect(await servedBy(distributionId)).toMatchObject([{ version: 5, to: null }])
})

test('of versions that went before there was history nothing is guessed', async () => {
  const name = 'gap/app'
  for (const n of [1, 2, 3, 4]) await pushManifest(catalog.db, name, { name: `gap ${n}` }, ['a'])
  const repositoryId = await idOf(catalog.db, name)
  const distributionId = await newDistribution('gap/prod', repositoryId)
  const [fourth, third, , first] = await historyOf(repositoryId, 'a')
  await catalog.db.query('update distribution_history set since = $2::timestamptz where distribution_id = $1', [
    distributionId,
    first?.from,
  ])
  for (const number of [2, 3]) await deleteVersion(catalog.db, { repositoryId, number, actor })
  await catalog.db.query('delete from version_history where repository_id = $1', [repositoryId])
  await catalog.db.query('delete from tag_history where repository_id = $1', [repositoryId])
  const time = third?.from ?? ''
  const unknown = { status: 404, code: 'history_unknown' }
  await expect(tagAt(catalog.db, { repositoryId, tag: 'a', time })).rejects.toMatchObject(unknown)
  const distribution = { id: distributionId, name: 'gap/prod' }
  await expect(distributionAt(catalog.db, { distribution, time, tag: undefined, rights })).rejects.toMatchObject(
    unknown,
  )
  // It was over by then, and is not what is there now.
  const entries = [
    { version: 4, from: fourth?.from, to: null },
    { version: 1, from: first?.from, to: fourth?.from },
  ]
  expect(await historyOf(repositoryId, 'a')).toMatchObject(entries)
  expect(await servedBy(distributionId)).toMatchObject(entries)
})
