import type { Digest } from '@berth/oci'
import { sqlState } from '@berth/service'
import { until } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { beginEdit, removeTags, setTags } from '../intervals/edit.ts'
import { type Catalog, contentOf, digestOf, idOf, pushManifest, startCatalog } from '../testing/catalog.fixture.ts'
import { changeContentHash, emptyContentHash } from './content-hash.ts'
import { finishVersion } from './finish.ts'
import { lockRepository } from './repository-lock.ts'
import { rollBack } from './rollback.ts'

let catalog: Catalog

beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog?.stop())

const versionOf = async (repositoryId: string, number: number) => {
  const [version] = await catalog.db.query<{ hash: string; present: object; added: object; removed: object }>(
    'select content_hash as hash, present, added, removed from version where repository_id = $1 and number = $2',
    [repositoryId, number],
  )
  return version
}

test('a rollback of more tags than an event names tells how many there are, and has the hash of its content', async () => {
  const { db } = catalog
  const repository = 'team/many'
  const names = Array.from({ length: 1_100 }, (_, i) => `tag-${String(i).padStart(4, '0')}`)
  await pushManifest(db, repository, { name: 'old' }, [...names, 'stays'])
  const wanted = await contentOf(db, repository)
  await pushManifest(db, repository, { name: 'new' }, [...names.slice(1), 'comes'])
  const id = await idOf(db, repository)
  const moved = await contentOf(db, repository)

  const made = await rollBack(db, { repositoryId: id, version: 1, actor: { id: null, name: 'ana' } })

  expect(await contentOf(db, repository)).toEqual(wanted)
  expect(await contentOf(db, repository, 2)).toEqual(moved)
  const [old, back] = [await versionOf(id, 1), await versionOf(id, made.number)]
  const members = [...wanted.manifests, ...Object.entries(wanted.tags).map(([tag, digest]) => `${tag}=${digest}`)]
  const hash = changeContentHash(emptyContentHash, members, [])
  expect([old?.hash, back]).toEqual([hash, expect.objectContaining({ hash, present: old?.present })])
  expect(back?.added).toMatchObject({ tags: 1_099, manifests: 0 })
  expect(back?.removed).toMatchObject({ tags: 1_100, manifests: 1 })
  const [told] = await db.query<{ event: { data: { tags: { tag: string }[]; total: number } } }>(
    `select event from outbox where event ->> 'type' like '%tag.moved%' order by seq desc limit 1`,
  )
  expect(told?.event.data.total).toBe(1_100)
  expect(told?.event.data.tags.map(({ tag }) => tag)).toEqual(['comes', ...names.slice(1, 1_000)])
})

test('a rollback opens again what a change that came to nothing had opened and closed', async () => {
  const { db } = catalog
  const repository = 'team/trace'
  const digest = await pushManifest(db, repository, { name: 'a' }, ['latest'])
  const id = await idOf(db, repository)
  const edit = async (change: 'remove' | 'nothing') =>
    db.transaction(async (sql) => {
      const locked = await lockRepository(sql, id)
      const begun = beginEdit(locked)
      if (change === 'nothing') await setTags(sql, begun, [{ name: 'latest', digest }])
      await removeTags(sql, begun, ['latest'])
      return finishVersion(sql, locked, begun, { cause: 'untag', actor: { id: null, name: 'ana' }, taskId: null })
    })
  expect((await edit('remove')).number).toBe(2)
  expect((await edit('nothing')).created).toBe(false)
  expect(await db.query('select since from tag_interval where repository_id = $1 and until <= since', [id])).toEqual([
    { since: 3 },
  ])
  expect((await rollBack(db, { repositoryId: id, version: 1, actor: { id: null, name: 'ana' } })).number).toBe(3)
  expect((await contentOf(db, repository)).tags).toEqual({ latest: digest })
})

test('a rollback that folds what is loose does not lose the version it goes back to on the way', async () => {
  const { db } = catalog
  const repository = 'team/kept'
  const digest = await pushManifest(db, repository, { name: 'first' }, ['latest'])
  const id = await idOf(db, repository)
  await pushManifest(db, repository, { name: 'second' }, ['latest'])
  await pushManifest(db, repository, { name: 'loose' })
  await db.query('update repository set retain_versions = 1 where id = $1', [id])
  expect(await rollBack(db, { repositoryId: id, version: 1, actor: { id: null, name: 'ana' } })).toMatchObject({
    number: 4,
  })
  expect(await contentOf(db, repository)).toEqual({ tags: { latest: digest }, manifests: [digest], blobs: [] })
  expect(await db.query('select number from version where repository_id = $1', [id])).toEqual([{ number: 4 }])
})

const openTag = (digest: Digest, name: string) =>
  [
    `insert into tag_interval (repository_id, name, since, digest, revision) values (gen_random_uuid(), $1, 1, $2, 1)`,
    [name, digest],
  ] as const

async function recordManifest(name: string): Promise<Digest> {
  const digest = digestOf(name)
  await catalog.db.query(`insert into blob (digest, state, size_bytes) values ($1, 'present', 1)`, [digest])
  await catalog.db.query(
    `insert into manifest (digest, media_type, is_index, size_bytes) values ($1, 'image', false, 1)`,
    [digest],
  )
  return digest
}

const remove = 'delete from manifest where digest = $1'
const stateOf = (work: Promise<unknown>) => work.then(() => 'done', sqlState)
const someoneWaits = async () =>
  (await catalog.db.query('select from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0')).length > 0

test('no tag names a manifest that is not recorded, and none that a tag names is deleted', async () => {
  const { db } = catalog
  const [kept, unknown] = [await recordManifest('kept'), digestOf('unknown')]
  expect(await stateOf(db.query(...openTag(unknown, 'a')))).toBe('23503')
  await db.query(...openTag(kept, 'a'))
  expect(await stateOf(db.query('update tag_interval set digest = $2 where digest = $1', [kept, unknown]))).toBe(
    '23503',
  )
  expect(await stateOf(db.query(remove, [kept]))).toBe('23503')
  await db.query('delete from tag_interval where digest = $1', [kept])
  expect(await stateOf(db.query(remove, [kept]))).toBe('done')
})

test('a tag and the deletion of its manifest at the same moment: one of them is refused, whoever is first', async () => {
  const { db } = catalog
  for (const first of ['tag', 'deletion']) {
    const digest = await recordManifest(`at once with a ${first}`)
    const tag = () => openTag(digest, first)
    const deletion = () => [remove, [digest]] as const
    const [before, after] = first === 'tag' ? [tag(), deletion()] : [deletion(), tag()]
    let second: Promise<string | undefined> | undefined
    await db.transaction(async (sql) => {
      await sql.query(before[0], before[1])
      second = stateOf(db.query(after[0], after[1]))
      await until(someoneWaits)
    })
    expect(await second).toBe('23503')
  }
})
