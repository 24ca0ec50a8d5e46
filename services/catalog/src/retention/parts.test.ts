import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { curate } from '../curation/curate.ts'
import { removeTags } from '../intervals/edit.ts'
import { contentOf, idOf, pushManifest } from '../testing/catalog.fixture.ts'
import { age, apply, catalog, image, setRules, startRetention } from '../testing/retention.fixture.ts'
import { applyRetention } from './apply.ts'

beforeAll(startRetention)
afterAll(() => catalog.stop())

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
      curate(catalog.db, { repositoryId, actor: { id: null, name: 'ana' }, cause: 'untag' }, (sql, edit) =>
        removeTags(sql, edit, [tag]),
      )
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

  test('where a part took long the next ones are smaller, also after a plan that was overtaken', async () => {
    const name = 'parts/slow'
    const tags = Array.from({ length: 400 }, (_, i) => `a${String(i).padStart(3, '0')}`)
    await image(name, tags)
    await setRules(name, { rules: [{ tags: ['a*'] }] })
    const repositoryId = await idOf(catalog.db, name)
    // A machine on which each version takes half a second.
    await catalog.db.query(
      `create function take_long() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return null; end $$;
       create trigger slow after insert on version for each row when (new.repository_id = '${repositoryId}' and new.cause = 'remove') execute function take_long()`,
    )
    const overtake = [() => pushManifest(catalog.db, name, { name: 'another' }, ['a399'])]
    const { made } = await apply(name, { onVersion: async () => void (await overtake.shift()?.()) })
    await catalog.db.query('drop trigger slow on version; drop function take_long()')
    // 250, then what of these half a second has room for, then no fewer than 50.
    expect(made).toMatchObject({ versions: 4, removed: { tags: 400 } })
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
    const { made } = await applyRetention(catalog.db, { repositoryId, actor: { id: null, name: 'ana' } }, { atOnce: 2 })
    over.abort()
    await moving
    expect(made?.removed.tags).toBeGreaterThanOrEqual(going.length)
  })

  test('the versions of one run count as one where only so many are kept, and the next run begins anew', async () => {
    const name = 'parts/history'
    for (const tag of [...going, 'b1']) await image(name, [tag])
    await setRules(name, { rules: [{ tags: ['a*'] }] })
    const kept = async () => {
      const numbers = await catalog.db.query<{ number: number }>(
        'select number from version where repository_id = $1 order by number',
        [await idOf(catalog.db, name)],
      )
      return numbers.map(({ number }) => number)
    }
    await catalog.db.query('update repository set retain_versions = 2 where name = $1', [name])
    expect((await apply(name, { atOnce: 3 })).made).toMatchObject({ number: 11, versions: 3 })
    expect(await kept()).toEqual([8, 9, 10, 11])
    expect(Object.keys((await contentOf(catalog.db, name, 8)).tags)).toHaveLength(8)
    await image(name, ['b2'])
    expect(await kept()).toEqual([9, 10, 11, 12])
    await image(name, ['b3'])
    expect(await kept()).toEqual([12, 13])
  })
})
