import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { curate } from '../curation/curate.ts'
import { removeTags } from '../intervals/edit.ts'
import { contentOf, idOf, pushManifest } from '../testing/catalog.fixture.ts'
import {
  age,
  apply,
  catalog,
  foresee,
  image,
  pin,
  pull,
  setRules,
  startRetention,
} from '../testing/retention.fixture.ts'

beforeAll(startRetention)
afterAll(() => catalog.stop())

describe('by rules', () => {
  test('one keep of one rule is enough, and a tag that no rule matches stays', async () => {
    const name = 'rules/keeps'
    for (const tag of ['pr-1', 'pr-2', 'pr-3', 'pr-4', 'pr-5', 'v1']) await image(name, [tag])
    await age(name)
    await pull(name, 'name', 'pr-1', 2)
    await setRules(name, {
      rules: [
        { tags: ['pr-*'], keepNewest: 1, pulledWithinDays: 3 },
        { tags: ['pr-[34]'], pushedWithinDays: 3 },
      ],
    })
    const { plan, made } = await apply(name)
    expect(plan.tags.map(({ tag, goes, reason, rule }) => [tag, goes, reason, rule])).toEqual([
      ['pr-1', false, 'pulled', 0],
      ['pr-2', true, 'nothing_keeps_it', 0],
      ['pr-3', true, 'nothing_keeps_it', 0],
      ['pr-4', false, 'pushed', 1],
      ['pr-5', false, 'newest', 0],
      ['v1', false, 'unmatched', null],
    ])
    expect(made).toMatchObject({ number: 7, removed: { tags: 2, manifests: 2, blobs: 2 } })
    expect(Object.keys((await contentOf(catalog.db, name)).tags)).toEqual(['v1', 'pr-1', 'pr-4', 'pr-5'])
    const [version] = await catalog.db.query(
      'select cause, created_by from version where repository_id = $1 and number = 7',
      [await idOf(catalog.db, name)],
    )
    expect(version).toEqual({ cause: 'remove', created_by: 'ana' })
  })

  test.each([
    [1, ['1.10']],
    [3, ['1.10', '1.9', '1.10-rc.2']],
    [5, ['1.10', '1.9', '1.10-rc.2', '1.8', 'nightly-10']],
  ])(
    'of tags that came at once the newest %i are the highest versions, then names by their numbers',
    async (keepNewest, kept) => {
      const name = `rules/at-once-${keepNewest}`
      await image(name, ['1.8', '1.9', '1.10', '1.10-rc.2', 'nightly-9', 'nightly-10'])
      await setRules(name, { rules: [{ tags: ['*'], keepNewest }] })
      await apply(name)
      expect(Object.keys((await contentOf(catalog.db, name)).tags).sort()).toEqual(kept.toSorted())
    },
  )

  test('a pull by digest keeps the tags of that manifest', async () => {
    const name = 'rules/by-digest'
    const digest = await image(name, ['a'])
    await image(name, ['b'])
    await pull(name, 'digest', digest, 1)
    await setRules(name, { rules: [{ tags: ['*'], pulledWithinDays: 1 }] })
    await apply(name)
    expect(Object.keys((await contentOf(catalog.db, name)).tags)).toEqual(['a'])
  })

  test('those of the namespace hold where a repository has none, and an empty list of its own keeps all', async () => {
    await catalog.db.query('insert into namespace (name, retention, created_by) values ($1, $2, $3)', [
      'inherited',
      JSON.stringify({ rules: [{ tags: ['*'], keepNewest: 1 }] }),
      'ana',
    ])
    for (const name of ['inherited/a', 'inherited/b']) {
      await image(name, ['1'])
      await image(name, ['2'])
    }
    await setRules('inherited/b', { rules: [] })
    expect((await apply('inherited/a')).plan).toMatchObject({ source: 'namespace' })
    expect((await apply('inherited/b')).plan).toMatchObject({ source: 'repository' })
    expect(Object.keys((await contentOf(catalog.db, 'inherited/a')).tags)).toEqual(['2'])
    expect(Object.keys((await contentOf(catalog.db, 'inherited/b')).tags)).toEqual(['1', '2'])
  })

  test('a tag is as old as its last move, also when the version of that was deleted', async () => {
    const name = 'rules/deleted-versions'
    await image(name, ['old'])
    await catalog.db.query('update repository set retain_versions = 1 where name = $1', [name])
    await image(name, ['new'])
    await catalog.db.query(
      `update tag_interval set opened_at = now() - interval '9 days' where name = 'old' and repository_id = $1`,
      [await idOf(catalog.db, name)],
    )
    await setRules(name, { rules: [{ tags: ['*'], pushedWithinDays: 8 }] })
    await apply(name)
    expect(Object.keys((await contentOf(catalog.db, name)).tags)).toEqual(['new'])
  })
})

describe('what must not go', () => {
  test('immutable tags and what a pinned version serves stay, and the answer says why', async () => {
    const name = 'keep/skipped'
    for (const tag of ['a', 'b', 'c', 'd']) await image(name, [tag])
    await pin(catalog.db, name, 2)
    await setRules(name, { rules: [{ tags: ['*'], keepNewest: 1 }] }, ['c'])
    const { plan } = await apply(name)
    expect(plan.tags.map(({ tag, goes, reason }) => [tag, goes, reason])).toEqual([
      ['a', false, 'pinned'],
      ['b', false, 'pinned'],
      ['c', false, 'immutable'],
      ['d', false, 'newest'],
    ])
    expect(Object.keys((await contentOf(catalog.db, name)).tags)).toEqual(['a', 'b', 'c', 'd'])
  })

  test('an immutable companion tag keeps what it belongs to, instead of making the others fail', async () => {
    const name = 'keep/companions'
    const signed = await image(name, ['signed'])
    const plain = await image(name, ['plain'])
    await image(name, [`${signed.replace(':', '-')}.sig`])
    await image(name, ['newest'])
    await setRules(name, { rules: [{ tags: ['*'], keepNewest: 1 }] }, ['sha256-*'])
    const { plan } = await apply(name)
    expect(plan.tags.find(({ tag }) => tag === 'signed')).toMatchObject({ goes: false, reason: 'immutable' })
    const { manifests, tags } = await contentOf(catalog.db, name)
    expect(Object.keys(tags)).toHaveLength(3)
    expect(manifests).not.toContain(plain)
  })

  test('signatures and other referrers go with what they belong to, and are matched by no rule', async () => {
    const name = 'keep/referrers'
    const old = await image(name, ['old'])
    const companion = `${old.replace(':', '-')}.sig`
    await image(name, [companion])
    await image(name, [], { subject: old })
    await image(name, ['new'])
    await setRules(name, { rules: [{ tags: ['*'], keepNewest: 1 }] })
    const { changes } = await foresee(name)
    expect(changes?.counts).toMatchObject({ tags: { removed: 2 }, manifests: { removed: 3 } })
    await apply(name)
    expect(await contentOf(catalog.db, name)).toMatchObject({ tags: { new: expect.anything() } })
    expect((await contentOf(catalog.db, name)).manifests).toHaveLength(1)
  })
})

test('a dry run says what would happen, and nothing does', async () => {
  const name = 'plan/only'
  for (const tag of ['a', 'b', 'c']) await image(name, [tag])
  await setRules(name, { rules: [{ tags: ['*'], keepNewest: 2 }] })
  const before = await contentOf(catalog.db, name)
  const { plan, changes } = await foresee(name)
  expect(changes).toMatchObject({ from: 3, tags: [{ tag: 'a', from: before.tags.a }], bytes: { removed: 110 } })
  expect(plan.tags.map(({ tag, goes }) => [tag, goes])).toEqual([
    ['a', true],
    ['b', false],
    ['c', false],
  ])
  expect(await contentOf(catalog.db, name)).toEqual(before)
  await apply(name)
  expect(Object.keys((await contentOf(catalog.db, name)).tags)).toEqual(['b', 'c'])
})

test('where nothing goes there is no version, and a repository that somebody changes is not waited for', async () => {
  const name = 'plan/nothing'
  await image(name, ['a'])
  await setRules(name, { rules: [{ tags: ['*'], keepNewest: 1 }] })
  await catalog.db.transaction(async (sql) => {
    await sql.query('select from repository where name = $1 for update', [name])
    expect(await apply(name)).toMatchObject({ made: undefined })
  })
})

test('what is pushed, pinned or made immutable while it waits for the repository is heeded', async () => {
  const name = 'plan/overtaken'
  for (const tag of ['a', 'b', 'c', 'd']) await image(name, [tag])
  await setRules(name, { rules: [{ tags: ['*'], keepNewest: 1 }] })
  const id = await idOf(catalog.db, name)
  let applying: ReturnType<typeof apply> | undefined
  await catalog.db.transaction(async (sql) => {
    await sql.query('select from repository where name = $1 for update', [name])
    applying = apply(name)
    // It has made its plan and waits for us.
    const waits = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%repository%for update%'`
    while ((await catalog.db.query(waits)).length === 0);
    await sql.query(`update repository set immutable_tags = '{b}' where id = $1`, [id])
    await pin(sql, name, 1)
  })
  expect((await applying)?.plan.tags.map(({ tag, reason }) => [tag, reason])).toEqual([
    ['a', 'pinned'],
    ['b', 'immutable'],
    ['c', 'nothing_keeps_it'],
    ['d', 'newest'],
  ])
})

test('an untagged manifest goes so many days after it lost its last tag or its index', async () => {
  const name = 'untagged/since'
  const moved = await image(name, ['a'])
  const child = await image(name, ['child'])
  const index = await pushManifest(catalog.db, name, { children: [child] }, ['index'])
  const repositoryId = await idOf(catalog.db, name)
  await curate(catalog.db, { repositoryId, actor: { id: null, name: 'ana' }, cause: 'untag' }, (sql, edit) =>
    removeTags(sql, edit, ['child']),
  )
  const kept = await image(name, ['a', 'b'])
  await age(name)
  await setRules(name, { untaggedDays: 1 })
  // Lost its tag half a day ago, with the last version, although it is old.
  expect((await apply(name)).made).toBeUndefined()
  await image(name, ['c'])
  await age(name)
  expect((await apply(name)).plan.untagged.map(({ digest }) => digest)).toEqual([moved])
  expect((await contentOf(catalog.db, name)).manifests).toEqual(expect.arrayContaining([child, index, kept]))
})

test('an untagged manifest stays while something that is tagged refers to it', async () => {
  const name = 'untagged/referred'
  const image0 = await image(name, ['a'])
  await image(name, ['report'], { subject: image0 })
  await image(name, ['a'])
  for (const tag of ['x', 'y']) await image(name, [tag])
  await age(name)
  await setRules(name, { untaggedDays: 1 })
  expect((await apply(name)).plan.untagged).toEqual([])
  await image(name, ['report'])
  await age(name)
  const { made } = await apply(name)
  expect(made).toMatchObject({ removed: { tags: 0, manifests: 2 } })
})
