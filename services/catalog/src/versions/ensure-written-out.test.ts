import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { LoneCleaner } from '../cleaner/lone-cleaner.ts'
import { catalogCommands } from '../commands.ts'
import { curate } from '../curation/curate.ts'
import { copyWork } from '../curation/requests.ts'
import { removeTags } from '../intervals/edit.ts'
import { readingAt } from '../intervals/reading-at.ts'
import { freelyGiven } from '../leases/freely-given.ts'
import { keepBlob } from '../leases/leases.ts'
import { putSignature } from '../pushes/put-signature.ts'
import { foreseeRetention } from '../retention/apply.ts'
import { streamRows } from '../served/rows.ts'
import type { ServedGate } from '../served/wait-until-served.ts'
import { explain } from '../store/explain.ts'
import { contentOf, idOf, newCall } from '../testing/catalog.fixture.ts'
import { pushImage, startYard, type Yard } from '../testing/collect.fixture.ts'
import { expectWrittenOut, rolledBack } from '../testing/large-rollback.fixture.ts'
import { diffVersions } from './diff.ts'
import { deleteVersion } from './drop-versions.ts'
import { ensureVersionWrittenOut, ensureWrittenOut } from './ensure-written-out.ts'
import { rollBack } from './rollback.ts'
import { unwrittenRepositories, writeOutRollback } from './rollback-writer.ts'

let yard: Yard
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())

const actor = { id: null, name: 'ana' }

test('followers are told where to read it, then to do the same, and are sent no rows; also with what came after', async () => {
  const { db } = yard
  const { name, id } = await rolledBack(yard)
  const revisionOf = async () =>
    (await db.query<{ revision: number }>('select revision from repository where id = $1', [id]))[0]?.revision ?? 0
  const rowsAfter = (revision: number) => Array.fromAsync(streamRows(db, id, revision))
  const followed = await revisionOf()
  const head = { kind: 'head', repositoryId: id, name }
  expect(await rowsAfter(followed - 1)).toEqual([{ ...head, from: followed - 1, revision: followed, latestVersion: 0 }])
  await writeOutRollback(db, id)
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

test('it is compared, copied, listed, explained and given away as what it is', async () => {
  const { db } = yard
  const { name, id, old, recent } = await rolledBack(yard)
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
  expect(await unwrittenRepositories(db)).toContain(id)
  await db.query(`update distribution set access = 'public' where repository_id = $1`, [id])
  const other = await idOf(db, `${name}-copy-4`)
  const digests = [old.blob, recent.blob]
  expect(await freelyGiven(db, { repositoryId: other, digests })).toEqual([old.blob])
  expect(await freelyGiven(db, { repositoryId: id, digests })).toEqual([old.blob])
  expect(await unwrittenRepositories(db)).not.toContain(id)
})

/** What other services ask, none of which waits for registry. */
const ask = (command: string, body: object) =>
  catalogCommands({ ...yard, cleaner: {} as LoneCleaner, log: console as never }, {} as ServedGate)[command]?.(
    body as never,
    newCall(),
  )

test('signatures go and come with it', async () => {
  const { db } = yard
  const name = 'settle/signed'
  const digest = await pushImage(yard, name, { name }, ['a'])
  const id = await idOf(db, name)
  const signature = { name: `${digest}@${'0'.repeat(32)}`, digest, content: 'c2lnbmVk' }
  await putSignature(db, { repository: name, actor, signature }, newCall())
  const present = async (version: number) => {
    const rows = await db.query<{ present: object }>(
      'select present from version where repository_id = $1 and number = $2',
      [id, version],
    )
    return rows[0]?.present
  }
  const known = () => ask('list-known-signatures', { repositoryId: id, names: [signature.name] })
  for (const [version, names] of [
    [1, []],
    [2, [signature.name]],
  ] as const) {
    const back = await rollBack(db, { repositoryId: id, version, actor }, 0)
    expect(back).toMatchObject({ isWrittenOut: false, added: { signatures: names.length } })
    expect(await present(back.number)).toEqual(await present(version))
    expect(await known()).toEqual({ names })
  }
})

test('sync is told of what is served', async () => {
  const questions: [string, (moved: Awaited<ReturnType<typeof rolledBack>>) => [object, object]][] = [
    [
      'list-tags',
      ({ id, old: { digest } }) => [
        { repositoryId: id, limit: 9 },
        { tags: ['a', 'b'].map((name) => ({ name, digest })) },
      ],
    ],
    [
      'list-members',
      ({ id, old, recent }) => [{ repositoryId: id, digests: [old.digest, recent.digest] }, { digests: [old.digest] }],
    ],
    [
      'find-closure',
      ({ id, old }) => [{ repositoryId: id, digests: [old.digest], companions: true }, { digests: [old.digest] }],
    ],
    ['check-named', ({ name, old }) => [{ repository: name, digest: old.blob }, { isNamed: false }]],
  ]
  for (const [command, question] of questions) {
    const [body, answer] = question(await rolledBack(yard))
    expect([command, await ask(command, body)]).toEqual([command, answer])
  }
})

test('retention judges what is served, also in a dry run', async () => {
  const { db } = yard
  const { id } = await rolledBack(yard)
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
  const pinned = await rolledBack(yard)
  expect(await db.transaction((sql) => ensureVersionWrittenOut(sql, pinned.id, 1))).toBeUndefined()
  expect(await unwrittenRepositories(db)).toContain(pinned.id)
  expect(await db.transaction((sql) => ensureVersionWrittenOut(sql, pinned.id, 4))).toBeDefined()
  await expectWrittenOut(yard, pinned.id, pinned.name, pinned.wanted)
  const read = await rolledBack(yard)
  expect(await ensureWrittenOut(db, read.id)).toBeDefined()
  await expectWrittenOut(yard, read.id, read.name, read.wanted)
  expect(await ensureWrittenOut(db, read.id)).toBeUndefined()
})

test('read again where it was settled, and the other version deleted, between two looks', async () => {
  const { db } = yard
  const { id } = await rolledBack(yard)
  const seen: (readonly number[])[] = []
  const found = await readingAt(db, id, [4], async (at) => {
    seen.push(at)
    if (seen.length === 1) await deleteVersion(db, { repositoryId: id, number: 1, actor })
    return at[0]
  })
  expect([found, seen]).toEqual([4, [[1], [4]]])
})
