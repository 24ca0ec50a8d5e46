import { randomUUID } from 'node:crypto'
import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { curate, planCuration } from '../curation/curate.ts'
import { copyWork } from '../curation/requests.ts'
import { takeOut } from '../curation/take-out.ts'
import { insertRepository } from '../repositories/ensure.ts'
import { defaultSettings } from '../repositories/settings.ts'
import { commitStage } from '../stages/commit-stage.ts'
import { stageContent } from '../stages/stage-content.ts'
import { type Catalog, contentOf, idOf, pushBlob, pushManifest, startCatalog } from '../testing/catalog.fixture.ts'
import { deleteVersion } from '../versions/drop-versions.ts'
import { usageOf } from './find.ts'
import { recountNamespace } from './quota.ts'
import { createNamespace, defaultNamespace, updateNamespace } from './settings.ts'

const ana = { id: null, name: 'ana' }
let catalog: Catalog
beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog.stop())

const setQuota = (name: string, quotaBytes: number | null) =>
  catalog.db.transaction((sql) => createNamespace(sql, { ...defaultNamespace, name, quotaBytes }, ana))
const changeQuota = (name: string, quotaBytes: number | null) =>
  catalog.db.transaction((sql) => updateNamespace(sql, name, { quotaBytes }, ana))
const counted = async (name: string) => {
  const [row] = await catalog.db.query<{ used: number }>('select used_bytes as used from namespace where name = $1', [
    name,
  ])
  return row?.used
}
const refused = { status: 403, code: 'quota_exceeded' }
/** As if the last count were long ago. */
const forgetCount = (name: string) => catalog.db.query('update namespace set counted_at = null where name = $1', [name])

// A manifest of the fixture has 10 bytes.
test('each digest counts once in a namespace, and what would exceed the quota is refused and changes nothing', async () => {
  await setQuota('once', 230)
  for (const repository of ['once/a', 'once/b']) {
    const blobs = [
      await pushBlob(catalog.db, repository, 'once shared'),
      await pushBlob(catalog.db, repository, 'once too'),
    ]
    await pushManifest(catalog.db, repository, { blobs }, ['1'])
  }
  expect(await counted('once')).toBe(210)
  expect(await usageOf(catalog.db, 'once')).toMatchObject({ uniqueBytes: 210 })
  await expect(pushBlob(catalog.db, 'once/new', 'once more', 21)).rejects.toMatchObject({
    ...refused,
    message:
      'The quota of the namespace "once" is 230 bytes: 210 are used, and this wants 21 more; nothing was changed.',
    options: { more: { namespace: 'once', quotaBytes: 230, usedBytes: 210, wantedBytes: 21 } },
  })
  await expect(idOf(catalog.db, 'once/new')).rejects.toThrow('no repository')
  await pushBlob(catalog.db, 'once/a', 'once less', 15)
  const before = await contentOf(catalog.db, 'once/a')
  await expect(pushManifest(catalog.db, 'once/a', { blobs: [], name: 'a new one' }, ['1', '2'])).rejects.toMatchObject(
    refused,
  )
  await expect(pushManifest(catalog.db, 'once/a', { blobs: [], name: 'loose' })).rejects.toMatchObject(refused)
  expect(await contentOf(catalog.db, 'once/a')).toEqual(before)
  expect(await counted('once')).toBe(225)
  await pushBlob(catalog.db, 'other/a', 'once more', 1_000)
})

test('what is there stays below a lower quota, and may be pushed and tagged again', async () => {
  const blobs = [await pushBlob(catalog.db, 'lower/a', 'lower')]
  await pushManifest(catalog.db, 'lower/a', { blobs }, ['1'])
  await setQuota('lower', 50)
  expect(await counted('lower')).toBe(110)
  await pushBlob(catalog.db, 'lower/b', 'lower')
  await pushManifest(catalog.db, 'lower/b', { blobs }, ['1', '2'])
  await expect(pushBlob(catalog.db, 'lower/b', 'lower still', 1)).rejects.toMatchObject(refused)
  await changeQuota('lower', null)
  await pushBlob(catalog.db, 'lower/b', 'lower still', 1)
  expect(await usageOf(catalog.db, 'lower')).toEqual({ repositories: 2, tags: 3, uniqueBytes: 111 })
})

test('pushes at the same time stay within the quota together', async () => {
  await setQuota('crowd', 1_000)
  const outcomes = await Promise.allSettled(
    Array.from({ length: 30 }, (_, i) => pushBlob(catalog.db, `crowd/r${i % 5}`, `crowd ${i}`, 90)),
  )
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(11)
  for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(refused)
  expect(await counted('crowd')).toBe(990)
  expect(await usageOf(catalog.db, 'crowd')).toMatchObject({ uniqueBytes: 990 })
})

test('bytes of a deleted version are free at once for who would be refused', async () => {
  const name = 'freed/a'
  await setQuota('freed', 220)
  await pushManifest(catalog.db, name, { blobs: [await pushBlob(catalog.db, name, 'freed 1')] }, ['1'])
  await catalog.db.query('update blob_link set linked = false where repository_id = $1', [await idOf(catalog.db, name)])
  const repositoryId = await idOf(catalog.db, name)
  await curate(catalog.db, { repositoryId, actor: { id: null, name: 'ana' }, cause: 'untag' }, (sql, edit) =>
    takeOut(sql, edit, { manifests: [], tags: ['1'] }, { force: false }),
  )
  await forgetCount('freed')
  // Version 1 still has it.
  await expect(pushBlob(catalog.db, name, 'freed 2', 150)).rejects.toMatchObject(refused)
  await deleteVersion(catalog.db, { repositoryId, number: 1, actor: { id: null, name: 'ana' } })
  await forgetCount('freed')
  await pushBlob(catalog.db, name, 'freed 2', 150)
  expect(await counted('freed')).toBe(150)
})

test('copies and syncs are refused as a whole, and so is the plan of a copy', async () => {
  const source = 'source/big'
  const blobs: Digest[] = []
  for (const n of [1, 2, 3]) blobs.push(await pushBlob(catalog.db, source, `source ${n}`))
  const digest = await pushManifest(catalog.db, source, { blobs }, ['1'])
  await setQuota('target', 309)
  const id = await catalog.db.transaction((sql) =>
    insertRepository(sql, { name: 'target/a', settings: defaultSettings, actor: { id: null, name: 'ana' } }),
  )
  const repositoryId = id ?? ''
  const curation = { repositoryId, actor: { id: null, name: 'ana' }, cause: 'copy' } as const
  const copy = copyWork({ from: { repository: source } })
  await expect(planCuration(catalog.db, curation, copy)).rejects.toMatchObject(refused)
  await expect(curate(catalog.db, curation, copy)).rejects.toMatchObject(refused)
  const stage = randomUUID()
  await stageContent(catalog.db, { stage, fence: 1, manifests: [], tags: [{ name: 'synced', digest }] })
  const commit = {
    repositoryId,
    stage,
    fence: 1,
    cause: 'sync',
    actor: { id: null, name: 'ana' },
    taskId: null,
    mode: 'additive',
    force: false,
  } as const
  await expect(commitStage(catalog.db, commit)).rejects.toMatchObject(refused)
  expect(await contentOf(catalog.db, 'target/a')).toEqual({ tags: {}, manifests: [], blobs: [] })
  await changeQuota('target', 310)
  expect((await commitStage(catalog.db, commit)).reply).toMatchObject({ version: 1, created: true })
  // Brings a tag, and nothing that is not there already.
  expect(await curate(catalog.db, curation, copy)).toMatchObject({ number: 2, created: true })
  expect(await counted('target')).toBe(310)
})

test('a recount while others push loses none of theirs', async () => {
  await setQuota('recount', 1_000_000)
  const pushed = new AbortController()
  const recounts = (async () => {
    while (!pushed.signal.aborted) await catalog.db.transaction((sql) => recountNamespace(sql, 'recount'))
  })()
  await Promise.all(
    Array.from({ length: 6 }, async (_, i) => {
      for (let n = 0; n < 8; n++) {
        const blob = await pushBlob(catalog.db, `recount/r${i}`, `recount ${i % 3} ${n}`)
        await pushManifest(catalog.db, `recount/r${i}`, { blobs: [blob] }, ['latest'])
      }
    }),
  )
  pushed.abort()
  await recounts
  expect(await counted('recount')).toBe(3 * 8 * 110)
}, 60_000)
