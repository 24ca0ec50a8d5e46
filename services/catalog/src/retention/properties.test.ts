import { type Digest, newestFirst } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { curate } from '../curation/curate.ts'
import { removeTags } from '../intervals/edit.ts'
import type { Retention, RetentionRule } from '../settings/retention-rules.ts'
import { contentOf, idOf, pushBlob, pushManifest } from '../testing/catalog.fixture.ts'
import { Model } from '../testing/model.fixture.ts'
import { age, apply, catalog, foresee, pin, pull, setRules, startRetention } from '../testing/retention.fixture.ts'
import { rollBack } from '../versions/rollback.ts'

const scale = Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_122)
const runs = 20 * scale

beforeAll(startRetention)
afterAll(() => catalog.stop())

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

let rolledBack = 0

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
      await curate(catalog.db, { repositoryId, actor: { id: null, name: 'ana' }, cause: 'untag' }, (sql, edit) =>
        removeTags(sql, edit, [gone]),
      )
      history.next((content) => content.tags.delete(gone))
      continue
    }
    if (kind === 9 && history.versions.length > 2 && b % 2 === 0) {
      const version = 1 + (a % (history.versions.length - 2))
      const repositoryId = await idOf(catalog.db, name)
      // Perhaps served before it is written: then the rules are applied to what is served.
      const made = await rollBack(
        catalog.db,
        { repositoryId, version, actor: { id: null, name: 'ana' } },
        c % 2 === 0 ? 0 : undefined,
      )
      const old = history.versions[version]
      if (made.created)
        history.next((content) =>
          Object.assign(content, { tags: new Map(old?.tags), manifests: new Set(old?.manifests) }),
        )
      if (!made.isWrittenOut) rolledBack++
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
    const isFirst = (other: string) => other !== tag && newestFirst([tag, other])[0] === other
    const before = rivals.filter(
      (other) => since(other) > since(tag) || (since(other) === since(tag) && isFirst(other)),
    )
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
  expect(rolledBack).toBeGreaterThan(runs / 4)
}, 120_000)
