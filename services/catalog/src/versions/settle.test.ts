import type { Digest } from '@berth/oci'
import { sqlState } from '@berth/service'
import { until } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { contentOf, idOf } from '../catalog.fixture.ts'
import {
  endLeases,
  push,
  pushImage,
  runCollector,
  startYard,
  storedDigests,
  type Yard,
} from '../collect/collect.fixture.ts'
import { freelyGiven } from '../content/freely-given.ts'
import { keepBlob } from '../content/leases.ts'
import { curate } from '../curation/curate.ts'
import { copyWork } from '../curation/requests.ts'
import { foreseeRetention } from '../retention/apply.ts'
import { streamRows } from '../served/rows.ts'
import { explain } from '../store/explain.ts'
import { diffVersions } from './diff.ts'
import { deleteVersion } from './drop-versions.ts'
import { removeManifests, removeTags } from './edit.ts'
import { lockRepository } from './repository-lock.ts'
import { rollBack } from './rollback.ts'
import { readingAt, settled, settledVersion } from './settled.ts'
import { retainAfter, settleOne, unsettledRepositories } from './settling.ts'

let yard: Yard
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())

const actor = 'ana'
let made = 0

/** Version 1 has one image and version 2 another; version 3 is version 1 again, not settled yet. */
async function rolledBack() {
  const { db } = yard
  const name = `settle/${made++}`
  const image = async (label: string, tags: string[]) => {
    const blob = await push(yard, name, `${name} blob ${label}`)
    return { blob, digest: await pushImage(yard, name, { name: `${name} ${label}`, blobs: [blob] }, tags) }
  }
  const old = await image('old', ['a', 'b'])
  const id = await idOf(db, name)
  await curate(db, { repositoryId: id, actor, cause: 'remove' }, async (sql, edit) => {
    await removeTags(sql, edit, ['a', 'b'])
    await removeManifests(sql, edit, [old.digest])
  })
  const recent = await image('recent', ['b', 'c'])
  await db.query('update blob_link set linked = false where repository_id = $1', [id])
  await endLeases(yard)
  const wanted = await contentOf(db, name, 1)
  const last = await contentOf(db, name, 3)
  const version = await rollBack(db, { repositoryId: id, version: 1, actor }, 0)
  expect(version).toMatchObject({ number: 4, created: true, isSettled: false })
  expect(await unsettledRepositories(db)).toContain(id)
  return { name, id, old, recent, wanted, last }
}

async function isSettled(id: string, name: string, wanted: object) {
  expect(await unsettledRepositories(yard.db)).not.toContain(id)
  const [held] = await yard.db.query<{ tags: object }>(
    `select coalesce(jsonb_object_agg(name, digest), '{}') as tags from tag_interval where repository_id = $1 and until is null`,
    [id],
  )
  expect(held?.tags).toEqual((wanted as { tags: object }).tags)
  expect(await contentOf(yard.db, name)).toEqual(wanted)
}

test('a rollback of much is the content it names before and after its intervals are written', async () => {
  const { name, id, wanted, last } = await rolledBack()
  const { db } = yard
  expect(await contentOf(db, name)).toEqual(wanted)
  const [row] = await db.query<{ present: object }>(
    'select present from version where repository_id = $1 and number = 4',
    [id],
  )
  expect(row?.present).toEqual({ tags: 2, manifests: 1, blobs: 1, signatures: 0 })
  expect(await settleOne(db, id)).toBeDefined()
  await isSettled(id, name, wanted)
  expect(await contentOf(db, name, 3)).toEqual(last)
  expect(await settleOne(db, id)).toBeUndefined()
})

test('killed while the intervals are written, it is as it was, and is found again', async () => {
  const { name, id, wanted } = await rolledBack()
  const { db } = yard
  const killed = new Error('killed')
  const dying = db.transaction(async (sql) => {
    await lockRepository(sql, id)
    throw killed
  })
  await expect(dying).rejects.toBe(killed)
  expect(await unsettledRepositories(db)).toContain(id)
  expect(await contentOf(db, name)).toEqual(wanted)
  const stopped = new AbortController()
  await db.transaction(async (sql) => {
    await sql.query('lock table tag_interval in share mode')
    const settling = settleOne(db, id, stopped.signal)
    await until(
      async () =>
        (await sql.query(`select from pg_locks where not granted and relation = 'tag_interval'::regclass`)).length > 0,
    )
    stopped.abort()
    await expect(settling).rejects.toMatchObject({ code: '57014' })
  })
  expect(await unsettledRepositories(db)).toContain(id)
  await settleOne(db, id)
  await isSettled(id, name, wanted)
})

test('followers are told where to read it, then to do the same, and are sent no rows; also with what came after', async () => {
  const { db } = yard
  const { name, id } = await rolledBack()
  const revisionOf = async () =>
    (await db.query<{ revision: number }>('select revision from repository where id = $1', [id]))[0]?.revision ?? 0
  const rowsAfter = (revision: number) => Array.fromAsync(streamRows(db, id, revision))
  const followed = await revisionOf()
  const head = { kind: 'head', repositoryId: id, name }
  expect(await rowsAfter(followed - 1)).toEqual([{ ...head, from: followed - 1, revision: followed, latestVersion: 0 }])
  await settleOne(db, id)
  const settledAt = await revisionOf()
  const restored = { kind: 'restored', version: 1, at: 4 }
  expect(await rowsAfter(followed)).toEqual([
    { ...head, from: followed, revision: settledAt, latestVersion: 4 },
    restored,
  ])
  await curate(db, { repositoryId: id, actor, cause: 'untag' }, (sql, edit) => removeTags(sql, edit, ['a']))
  expect(await rowsAfter(followed)).toEqual([
    { ...head, from: followed, revision: settledAt + 1, latestVersion: 5 },
    restored,
    expect.objectContaining({ kind: 'tag', name: 'a', since: 4, until: 5 }),
  ])
})

test('nothing comes on top of it before it is settled, whoever tries', async () => {
  const { db } = yard
  const { id } = await rolledBack()
  const code = (text: string) => db.query(text, [id]).then(() => 'done', sqlState)
  expect(await code('update repository set latest_version = latest_version + 1 where id = $1')).toBe('40001')
  expect(await code('update repository set loose_since = now() where id = $1')).toBe('23514')
  expect(await code('delete from version where repository_id = $1 and number = 1')).toBe('23503')
  await settleOne(db, id)
  expect(await code('delete from version where repository_id = $1 and number = 1')).toBe('done')
})

test('a push to it finds it settled, and takes its place behind it', async () => {
  const { name, id, wanted } = await rolledBack()
  const digest = await pushImage(yard, name, { name: `${name} more` }, ['d'])
  expect(await contentOf(yard.db, name, 4)).toEqual(wanted)
  const { tags } = wanted as { tags: Record<string, Digest> }
  expect((await contentOf(yard.db, name)).tags).toEqual({ ...tags, d: digest })
  expect(await unsettledRepositories(yard.db)).not.toContain(id)
})

test('a rollback of a rollback that is not settled goes back to either', async () => {
  const { name, id, wanted, last } = await rolledBack()
  const { db } = yard
  expect(await rollBack(db, { repositoryId: id, version: 3, actor }, 0)).toMatchObject({ number: 5, isSettled: false })
  expect(await contentOf(db, name)).toEqual(last)
  expect(await contentOf(db, name, 4)).toEqual(wanted)
  expect(await rollBack(db, { repositoryId: id, version: 4, actor }, 0)).toMatchObject({ number: 6, isSettled: false })
  await settleOne(db, id)
  await isSettled(id, name, wanted)
  for (const version of [1, 4]) expect(await contentOf(db, name, version)).toEqual(wanted)
  for (const version of [3, 5]) expect(await contentOf(db, name, version)).toEqual(last)
  expect(await rollBack(db, { repositoryId: id, version: 1, actor }, 0)).toMatchObject({ number: 6, created: false })
})

test('the version whose content it has can be deleted at once, and goes last of those that retainVersions lets go', async () => {
  const { db } = yard
  const deleted = await rolledBack()
  await deleteVersion(db, { repositoryId: deleted.id, number: 1, actor })
  await isSettled(deleted.id, deleted.name, deleted.wanted)
  const retained = await rolledBack()
  await db.query('update repository set retain_versions = 1 where id = $1', [retained.id])
  await pushImage(yard, retained.name, { name: 'one more' }, ['d'])
  const numbers = () => db.query('select number from version where repository_id = $1 order by number', [retained.id])
  // Somebody who pulls may have been sent there a moment ago.
  expect(await numbers()).toEqual([{ number: 1 }, { number: 5 }])
  await retainAfter(db, retained.id)
  expect(await numbers()).toEqual([{ number: 5 }])
})

test('it is compared, copied, listed, explained and given away as what it is', async () => {
  const { db } = yard
  const { name, id, old, recent } = await rolledBack()
  const compare = (from: number, to: number) =>
    readingAt(db, id, [from, to], ([a = 0, b = 0]) => diffVersions(db, { repositoryId: id, from: a, to: b, limit: 10 }))
  expect((await compare(4, 1)).tags).toEqual([])
  expect((await compare(3, 4)).tags).toEqual([
    { tag: 'a', to: old.digest },
    { tag: 'b', from: recent.digest, to: old.digest },
    { tag: 'c', from: recent.digest },
  ])
  const keep = (digest: Digest) => keepBlob(db, { repository: name, holder: 'push:x', digest, ttlSeconds: 1 })
  expect([await keep(old.blob), await keep(recent.blob)]).toEqual([expect.anything(), null])
  const versionsOf = async (digest: Digest) =>
    (await explain(db, digest, 0))?.repositories.flatMap((one) => one.versions)
  expect([await versionsOf(old.digest), await versionsOf(recent.digest)]).toEqual(
    [[1, 4], [3]].map((list) => expect.arrayContaining(list)),
  )
  expect(await versionsOf(recent.digest)).toEqual([3])
  for (const version of [4, undefined]) {
    const target = `${name}-copy-${version}`
    await pushImage(yard, target, { name: target }, ['own'])
    const from = { repository: name, ...(version === undefined ? {} : { version }) }
    await curate(db, { repositoryId: await idOf(db, target), actor, cause: 'copy' }, copyWork({ from, tags: ['*'] }))
    expect((await contentOf(db, target)).tags).toMatchObject({ a: old.digest, b: old.digest })
    expect((await contentOf(db, target)).tags).not.toHaveProperty('c')
  }
  expect(await unsettledRepositories(db)).toContain(id)
  await db.query(`update distribution set access = 'public' where repository_id = $1`, [id])
  const other = await idOf(db, `${name}-copy-4`)
  const digests = [old.blob, recent.blob]
  expect(await freelyGiven(db, { repositoryId: other, digests })).toEqual([old.blob])
  expect(await freelyGiven(db, { repositoryId: id, digests })).toEqual([old.blob])
  expect(await unsettledRepositories(db)).not.toContain(id)
})

test('retention judges what is served, also in a dry run', async () => {
  const { db } = yard
  const { id } = await rolledBack()
  await db.query('update repository set retention = $2 where id = $1', [
    id,
    JSON.stringify({ rules: [{ tags: ['a', 'b'], keepNewest: 1 }] }),
  ])
  const { plan, changes } = await foreseeRetention(db, { repositoryId: id, actor })
  expect(plan.tags.map(({ tag, goes }) => [tag, goes])).toEqual([
    ['a', true],
    ['b', false],
  ])
  expect(changes?.counts.tags).toEqual({ added: 0, removed: 1, moved: 0 })
})

test('what is to be served by its own number is settled first, as what is read by who decides by it', async () => {
  const { db } = yard
  const pinned = await rolledBack()
  expect(await db.transaction((sql) => settledVersion(sql, pinned.id, 1))).toBeUndefined()
  expect(await unsettledRepositories(db)).toContain(pinned.id)
  expect(await db.transaction((sql) => settledVersion(sql, pinned.id, 4))).toBeDefined()
  await isSettled(pinned.id, pinned.name, pinned.wanted)
  const read = await rolledBack()
  expect(await settled(db, read.id)).toBeDefined()
  await isSettled(read.id, read.name, read.wanted)
  expect(await settled(db, read.id)).toBeUndefined()
})

test('read again where it was settled, and the other version deleted, between two looks', async () => {
  const { db } = yard
  const { id } = await rolledBack()
  const seen: (readonly number[])[] = []
  const found = await readingAt(db, id, [4], async (at) => {
    seen.push(at)
    if (seen.length === 1) await deleteVersion(db, { repositoryId: id, number: 1, actor })
    return at[0]
  })
  expect([found, seen]).toEqual([4, [[1], [4]]])
})

test('the collector takes nothing of it, before and after; and all of it with the repository', async () => {
  const { db } = yard
  await runCollector(yard, { thorough: true })
  await runCollector(yard, { thorough: true })
  const others = await storedDigests(yard)
  const { name, id, old, recent, wanted } = await rolledBack()
  const held = [old.digest, old.blob, recent.digest, recent.blob]
  const collectTwice = async () => {
    await endLeases(yard)
    await runCollector(yard, { thorough: true })
    await runCollector(yard, { thorough: true })
  }
  await collectTwice()
  expect(await storedDigests(yard)).toEqual([...others, ...held].sort())
  await settleOne(db, id)
  await deleteVersion(db, { repositoryId: id, number: 3, actor })
  await deleteVersion(db, { repositoryId: id, number: 1, actor })
  await collectTwice()
  expect(await storedDigests(yard)).toEqual([...others, old.digest, old.blob].sort())
  await isSettled(id, name, wanted)
  await rollBack(db, { repositoryId: id, version: 0, actor }, 0)
  expect(await unsettledRepositories(db)).toContain(id)
  await db.query('delete from distribution where repository_id = $1', [id])
  await db.query('delete from repository where id = $1', [id])
  await collectTwice()
  expect(await storedDigests(yard)).toEqual(others)
})
