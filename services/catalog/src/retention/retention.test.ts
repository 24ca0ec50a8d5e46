import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Catalog, contentOf, idOf, pushBlob, pushManifest, startCatalog } from '../catalog.fixture.ts'
import { curate } from '../curation/curate.ts'
import { Model } from '../curation/model.fixture.ts'
import { removeTags } from '../versions/edit.ts'
import { applyRetention, foreseeRetention } from './apply.ts'
import type { Retention, RetentionRule } from './policy.ts'

const scale = Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_122)
const runs = 20 * scale

let catalog: Catalog
beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog.stop())

const setRules = (name: string, retention: Retention, immutableTags: string[] = []) =>
  catalog.db.query('update repository set retention = $2, immutable_tags = $3 where name = $1', [
    name,
    JSON.stringify(retention),
    immutableTags,
  ])

/** Makes it so that version n came (newest - n + 1) days ago, but for half a day, and with it what it opened. */
async function age(name: string): Promise<void> {
  const id = await idOf(catalog.db, name)
  const at = (number: string) =>
    `now() - make_interval(hours => 24 * (select latest_version - ${number} + 1 from repository where id = $1) - 12)`
  await catalog.db.query(`update version set created_at = ${at('number')} where repository_id = $1`, [id])
  for (const table of ['tag_interval', 'manifest_interval'])
    await catalog.db.query(`update ${table} set opened_at = ${at('since')} where repository_id = $1`, [id])
}

async function pull(name: string, key: 'name' | 'digest', what: string, daysAgo: number): Promise<void> {
  const table = key === 'name' ? 'tag_pull' : 'manifest_pull'
  await catalog.db.query(
    `insert into ${table} (repository_id, ${key}, pulled_at) values ($1, $2, now() - make_interval(hours => 24 * $3 - 12))
     on conflict (repository_id, ${key}) do update set pulled_at = excluded.pulled_at`,
    [await idOf(catalog.db, name), what, daysAgo],
  )
}

const pin = async (sql: Sql, name: string, version: number) =>
  sql.query(
    `insert into distribution (name, base_path, repository_id, version, access, created_by) values ($1, $1, $2, $3, 'private', 'ana')`,
    [`pin/${name}`, await idOf(catalog.db, name), version],
  )

const apply = async (name: string, more: Parameters<typeof applyRetention>[2] = {}) =>
  applyRetention(catalog.db, { repositoryId: await idOf(catalog.db, name), actor: 'ana' }, more)
const foresee = async (name: string) =>
  foreseeRetention(catalog.db, { repositoryId: await idOf(catalog.db, name), actor: 'ana' })

let made = 0
const image = async (name: string, tags: string[], more: { subject?: Digest } = {}) => {
  const label = `${name} ${made++}`
  return pushManifest(
    catalog.db,
    name,
    { name: label, blobs: [await pushBlob(catalog.db, name, label)], ...more },
    tags,
  )
}

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

describe('in parts', () => {
  const going = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7']

  test('very much goes as several versions, and whoever pushes meanwhile comes to its turn between them', async () => {
    const name = 'parts/turns'
    for (const tag of [...going, 'b1', 'b2']) await image(name, [tag])
    await age(name)
    await setRules(name, { rules: [{ tags: ['a*'] }, { tags: ['b*', 'new*'], keepNewest: 2 }] })
    let pushed = 0
    let pushing: Promise<unknown> = Promise.resolve()
    const { plan, made } = await apply(name, {
      atOnce: 3,
      onVersion: async () => {
        pushing = image(name, [`new${++pushed}`])
        await pushing
      },
    })
    expect(made).toMatchObject({ versions: 3, removed: { tags: 7, manifests: 7, blobs: 7 } })
    expect(plan.tags.filter(({ goes }) => goes).map(({ tag }) => tag)).toEqual(going)
    const causes = await catalog.db.query<{ cause: string }>(
      'select cause from version where repository_id = $1 and number > 9 order by number',
      [await idOf(catalog.db, name)],
    )
    expect(causes.map(({ cause }) => cause)).toEqual(['remove', 'push', 'remove', 'push', 'remove', 'push'])
    // What was pushed takes the place of what was newest only with the next run.
    expect(Object.keys((await contentOf(catalog.db, name)).tags).sort()).toEqual(['b1', 'b2', 'new1', 'new2', 'new3'])
    await apply(name)
    expect(Object.keys((await contentOf(catalog.db, name)).tags).sort()).toEqual(['new2', 'new3'])
  })

  test('what is pushed, tagged, deleted or made immutable between the parts is heeded', async () => {
    const name = 'parts/overtaken'
    for (const tag of going) await image(name, [tag])
    for (const tag of ['b1', 'b2', 'b3']) await image(name, [tag])
    const untagged = [await image(name, ['u1']), await image(name, ['u2'])]
    const repositoryId = await idOf(catalog.db, name)
    const remove = (tag: string) =>
      curate(catalog.db, { repositoryId, actor: 'ana', cause: 'untag' }, (sql, edit) => removeTags(sql, edit, [tag]))
    for (const tag of ['u1', 'u2']) await remove(tag)
    await image(name, ['later'])
    await age(name)
    const rules = [
      { tags: ['a*'], pushedWithinDays: 1 },
      { tags: ['b*'], keepNewest: 1 },
    ]
    await setRules(name, { rules, untaggedDays: 1 })
    const between = [
      () => image(name, ['a5']),
      () => setRules(name, { rules, untaggedDays: 1 }, ['a7']),
      // The newest one gone, another one is.
      () => remove('b3'),
      () => pushManifest(catalog.db, name, { children: [untagged[0] as Digest] }, ['index']),
    ]
    const { plan, made } = await apply(name, { atOnce: 1, onVersion: async () => void (await between.shift()?.()) })
    expect(between).toEqual([])
    const content = await contentOf(catalog.db, name)
    expect(Object.keys(content.tags).sort()).toEqual(['a5', 'a7', 'b2', 'index', 'later'])
    expect(content.manifests).toContain(untagged[0])
    expect(content.manifests).not.toContain(untagged[1])
    expect(made?.removed.tags).toBe(6)
    expect(plan.tags.filter(({ goes }) => goes).map(({ tag }) => tag)).toEqual(['a1', 'a2', 'a3', 'a4', 'a6', 'b1'])
  })

  test('a run that is overtaken again and again comes to an end', async () => {
    const name = 'parts/patience'
    for (const tag of going) await image(name, [tag])
    await setRules(name, { rules: [{ tags: ['a*'] }] })
    const repositoryId = await idOf(catalog.db, name)
    const over = new AbortController()
    const moving = (async () => {
      while (!over.signal.aborted) await image(name, ['a7'])
    })()
    const { made } = await applyRetention(catalog.db, { repositoryId, actor: 'ana' }, { atOnce: 2 })
    over.abort()
    await moving
    expect(made?.removed.tags).toBeGreaterThanOrEqual(going.length)
  })
})

test('an untagged manifest goes so many days after it lost its last tag or its index', async () => {
  const name = 'untagged/since'
  const moved = await image(name, ['a'])
  const child = await image(name, ['child'])
  const index = await pushManifest(catalog.db, name, { children: [child] }, ['index'])
  const repositoryId = await idOf(catalog.db, name)
  await curate(catalog.db, { repositoryId, actor: 'ana', cause: 'untag' }, (sql, edit) =>
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

type Step = { kind: number; a: number; b: number; c: number; tags: number[] }
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.nat(9),
  a: fc.nat(100),
  b: fc.nat(100),
  c: fc.nat(100),
  tags: fc.uniqueArray(fc.nat(7), { minLength: 1, maxLength: 2 }),
})
const days = fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined })
const rule: fc.Arbitrary<RetentionRule> = fc
  .record({
    tags: fc.uniqueArray(fc.constantFrom('*', 't[0-3]', 't1', 't?', 'sha256-*', 't[4-6]'), {
      minLength: 1,
      maxLength: 2,
    }),
    keepNewest: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    pushedWithinDays: days,
    pulledWithinDays: days,
  })
  .map((given) => JSON.parse(JSON.stringify(given)) as RetentionRule)
const settings = fc.record({
  rules: fc.array(rule, { maxLength: 3 }),
  untaggedDays: days,
  immutable: fc.constantFrom<string[]>([], ['t2'], ['sha256-*'], ['t[5-7]']),
  pinned: fc.option(fc.nat(20), { nil: undefined }),
  pulls: fc.array(fc.tuple(fc.boolean(), fc.nat(20), fc.integer({ min: 1, max: 12 })), { maxLength: 6 }),
  atOnce: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
})

/** A repository as plain memory: what each version held, and in which version everything came and was let go. */
class History {
  readonly model = new Model()
  readonly versions: { tags: Map<string, Digest>; manifests: Set<Digest> }[] = [
    { tags: new Map(), manifests: new Set() },
  ]
  readonly opened = new Map<string, number>()
  readonly letGo = new Map<Digest, number>()

  get latest() {
    return this.versions.at(-1) as (typeof this.versions)[number]
  }

  next(change: (content: (typeof this.versions)[number], number: number) => void): void {
    const before = this.latest
    const content = { tags: new Map(before.tags), manifests: new Set(before.manifests) }
    const number = this.versions.length
    change(content, number)
    for (const [tag, digest] of before.tags) if (content.tags.get(tag) !== digest) this.letGo.set(digest, number)
    for (const [tag, digest] of content.tags) if (before.tags.get(tag) !== digest) this.opened.set(tag, number)
    for (const digest of content.manifests) if (!before.manifests.has(digest)) this.opened.set(digest, number)
    this.versions.push(content)
  }
}

async function build(name: string, steps: readonly Step[]): Promise<History> {
  const history = new History()
  for (const [i, { kind, a, b, c, tags }] of steps.entries()) {
    const { latest, model } = history
    const members = [...latest.manifests]
    const pick = (n: number) => members[n % Math.max(1, members.length)]
    const tagged = [...latest.tags.keys()]
    if (kind === 0 && tagged.length > 1) {
      const gone = tagged[a % tagged.length] as string
      const repositoryId = await idOf(catalog.db, name)
      await curate(catalog.db, { repositoryId, actor: 'ana', cause: 'untag' }, (sql, edit) =>
        removeTags(sql, edit, [gone]),
      )
      history.next((content) => content.tags.delete(gone))
      continue
    }
    const children = kind < 4 ? [...new Set([pick(a), pick(b)])].filter((one) => one !== undefined) : []
    const subject = kind % 3 === 1 ? pick(c) : undefined
    const owner = kind === 9 ? pick(b) : undefined
    const names = owner ? [`${owner.replace(':', '-')}.sig`] : tags.map((n) => `t${n}`)
    const blobs = children.length > 0 ? [] : [await pushBlob(catalog.db, name, `${name} blob ${a % 9}`)]
    const graph = { name: `${name} ${i}`, blobs, children, ...(subject ? { subject } : {}) }
    const digest = await pushManifest(catalog.db, name, graph, names)
    model.known.set(digest, { blobs, children, ...(subject ? { subject } : {}) })
    history.next((content) => {
      content.manifests.add(digest)
      for (const tag of names) content.tags.set(tag, digest)
    })
  }
  return history
}

const ownerOf = (tag: string) => tag.split('.', 1)[0]?.replace('-', ':') as Digest
const matchers: Record<string, RegExp> = {
  '*': /.*/,
  't[0-3]': /^t[0-3]$/,
  't[4-6]': /^t[4-6]$/,
  't[5-7]': /^t[5-7]$/,
  't?': /^t.$/,
  t1: /^t1$/,
  t2: /^t2$/,
  'sha256-*': /^sha256-/,
}
const isMatched = (patterns: readonly string[], tag: string) => patterns.some((pattern) => matchers[pattern]?.test(tag))

type Given = {
  retention: Retention
  immutable: string[]
  pinned: ReadonlySet<Digest>
  pulls: ReadonlyMap<string, number>
}

/** What has to go, word for word as the rules say it. */
function unwantedOf(history: History, given: Given): { tags: string[]; manifests: Digest[] } {
  const { tags, manifests } = history.latest
  const { known } = history.model
  const newest = history.versions.length - 1
  const daysSince = (number: number) => newest - number + 0.5
  const isCompanion = (tag: string) => manifests.has(ownerOf(tag))
  const guarded = new Set(
    [...tags.keys()].filter((tag) => isCompanion(tag) && isMatched(given.immutable, tag)).map(ownerOf),
  )
  for (let size = -1; size !== guarded.size; ) {
    size = guarded.size
    for (const digest of guarded) {
      const subject = known.get(digest)?.subject
      if (subject) guarded.add(subject)
      for (const [other, { children }] of known) if (children.includes(digest)) guarded.add(other)
      for (const [tag, target] of tags) if (target === digest && isCompanion(tag)) guarded.add(ownerOf(tag))
    }
  }
  const mustStay = (digest: Digest) => given.pinned.has(digest) || guarded.has(digest)
  const isKeptBy = (each: RetentionRule, tag: string, digest: Digest) => {
    const rivals = [...tags.keys()].filter((other) => !isCompanion(other) && isMatched(each.tags, other))
    const since = (other: string) => history.opened.get(other) ?? 0
    const before = rivals.filter((other) => since(other) > since(tag) || (since(other) === since(tag) && other > tag))
    const pulled = Math.min(given.pulls.get(tag) ?? Infinity, given.pulls.get(digest) ?? Infinity)
    return (
      before.length < (each.keepNewest ?? 0) ||
      daysSince(since(tag)) <= (each.pushedWithinDays ?? 0) ||
      pulled <= (each.pulledWithinDays ?? 0)
    )
  }
  const { rules = [], untaggedDays } = given.retention
  const goingTags = [...tags].filter(([tag, digest]) => {
    if (isCompanion(tag) || mustStay(digest) || isMatched(given.immutable, tag)) return false
    const matching = rules.filter((each) => isMatched(each.tags, tag))
    return matching.length > 0 && !matching.some((each) => isKeptBy(each, tag, digest))
  })
  const inIndex = (digest: Digest) => [...manifests].some((other) => known.get(other)?.children.includes(digest))
  const isTagged = (digest: Digest, but: (tag: string) => boolean = () => false) =>
    [...tags].some(([tag, target]) => target === digest && !but(tag))
  const isReferredTo = (digest: Digest, seen = new Set<Digest>()): boolean =>
    [...manifests].some((other) => {
      if (known.get(other)?.subject !== digest || seen.has(other)) return false
      seen.add(other)
      return inIndex(other) || isTagged(other, (tag) => tag.startsWith('sha256-')) || isReferredTo(other, seen)
    })
  const goingManifests = [...manifests].filter((digest) => {
    const subject = known.get(digest)?.subject
    if (isTagged(digest) || inIndex(digest) || (subject && manifests.has(subject)) || mustStay(digest)) return false
    const since = Math.max(history.opened.get(digest) ?? 0, history.letGo.get(digest) ?? 0)
    return untaggedDays !== undefined && !isReferredTo(digest) && daysSince(since) > untaggedDays
  })
  return { tags: goingTags.map(([tag]) => tag), manifests: goingManifests }
}

test('random repositories under random rules end with what a model in memory says', async () => {
  let run = 0
  let tookAway = 0
  const check = fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 24 }), settings, async (steps, given) => {
    const name = `retained/r${run++}`
    const history = await build(name, steps)
    await age(name)
    const { tags, manifests } = history.latest
    const pulls = new Map<string, number>()
    for (const [isTag, n, daysAgo] of given.pulls) {
      const keys = isTag ? [...tags.keys()] : [...manifests]
      const what = keys[n % keys.length] as string
      pulls.set(what, daysAgo - 0.5)
      await pull(name, isTag ? 'name' : 'digest', what, daysAgo)
    }
    const pinnedVersion = given.pinned === undefined ? undefined : given.pinned % history.versions.length
    if (pinnedVersion !== undefined) await pin(catalog.db, name, pinnedVersion)
    const retention = {
      rules: given.rules.filter((each) => Object.keys(each).length > 1),
      ...(given.untaggedDays === undefined ? {} : { untaggedDays: given.untaggedDays }),
    }
    await setRules(name, retention, given.immutable)
    const pinned =
      pinnedVersion === undefined ? new Set<Digest>() : (history.versions[pinnedVersion]?.manifests ?? new Set())
    const unwanted = unwantedOf(history, { retention, immutable: given.immutable, pinned, pulls })
    const expected = { tags: new Map(tags), manifests: new Set(manifests) }
    history.model.remove(expected, unwanted, false)
    const foreseen = await foresee(name)
    const { plan, made } = await apply(name, given.atOnce === undefined ? {} : { atOnce: given.atOnce })
    expect(plan.tags.filter(({ goes }) => goes).map(({ tag }) => tag)).toEqual([...unwanted.tags].sort())
    expect(plan.untagged.filter(({ goes }) => goes).map(({ digest }) => digest)).toEqual([...unwanted.manifests].sort())
    expect(foreseen.plan.tags).toEqual(plan.tags)
    expect(foreseen.changes?.counts.manifests.removed).toBe(made?.removed.manifests)
    const content = await contentOf(catalog.db, name)
    expect(content.tags).toEqual(Object.fromEntries(expected.tags))
    expect(content.manifests).toEqual([...expected.manifests].sort())
    if (made) tookAway++
    expect((await foresee(name)).plan.tags.filter(({ goes }) => goes)).toEqual([])
  })
  await fc.assert(check, { numRuns: runs, seed })
  expect(tookAway).toBeGreaterThan(runs / 4)
}, 120_000)
