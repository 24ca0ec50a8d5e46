import { adminRights } from '@berth/access'
import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { ensureRepository } from '../repositories/ensure.ts'
import { type Catalog, contentOf, idOf, pushBlob, pushManifest, startCatalog } from '../testing/catalog.fixture.ts'
import { curate } from './curate.ts'
import { copyWork, type ModifyBody, modifyWork } from './requests.ts'

/*
 * The fixture whose counts are known: five images a to e and four lists i = {a, b}, ii = {c, d}, iii = {a, e}, iv = {b, c}.
 * Each image has a config, a base layer that all share, and a layer of its own; e has a's own layer too.
 */
const source = 'oracle/source'
const from = { repository: source }
let catalog: Catalog
const digests = new Map<string, Digest>()
const of = (name: string) => digests.get(name) as Digest

beforeAll(async () => {
  catalog = await startCatalog()
  const { db } = catalog
  const base = await pushBlob(db, source, 'base')
  for (const image of ['a', 'b', 'c', 'd', 'e']) {
    const blobs = [await pushBlob(db, source, `config ${image}`), base]
    if (image === 'e') blobs.push(await pushBlob(db, source, 'own a'))
    blobs.push(await pushBlob(db, source, `own ${image}`))
    digests.set(image, await pushManifest(db, source, { blobs }, [image]))
  }
  const lists = { i: ['a', 'b'], ii: ['c', 'd'], iii: ['a', 'e'], iv: ['b', 'c'] }
  for (const [list, images] of Object.entries(lists))
    digests.set(list, await pushManifest(db, source, { children: images.map(of) }, [list]))
})
afterAll(() => catalog.stop())

let made = 0
async function newRepository(): Promise<string> {
  const name = `oracle/target-${made++}`
  await catalog.db.transaction((sql) =>
    ensureRepository(sql, { repository: name, mayCreate: true, actor: { id: null, name: 'ana' } }),
  )
  return name
}
async function modify(repository: string, body: ModifyBody): Promise<void> {
  const { work, cause, foldsFirst } = modifyWork(body, adminRights(''))
  await curate(
    catalog.db,
    { repositoryId: await idOf(catalog.db, repository), actor: { id: null, name: 'ana' }, cause, foldsFirst },
    work,
  )
}
async function counts(repository: string) {
  const { tags, manifests, blobs } = await contentOf(catalog.db, repository)
  return { tags: Object.keys(tags).length, manifests: manifests.length, blobs: blobs.length }
}
const add = (...names: string[]): ModifyBody => ({ add: names.map((name) => ({ digest: of(name), from })) })

test('the fixture has nine tags, nine manifests and eleven blobs', async () => {
  expect(await counts(source)).toEqual({ tags: 9, manifests: 9, blobs: 11 })
})

test.each([
  ['a', ['a'], { tags: 0, manifests: 1, blobs: 3 }],
  ['list i', ['i'], { tags: 0, manifests: 3, blobs: 5 }],
  ['lists i and ii', ['i', 'ii'], { tags: 0, manifests: 6, blobs: 9 }],
  ['all four lists', ['i', 'ii', 'iii', 'iv'], { tags: 0, manifests: 9, blobs: 11 }],
  ['a and e', ['a', 'e'], { tags: 0, manifests: 2, blobs: 5 }],
  ['lists i and iii', ['i', 'iii'], { tags: 0, manifests: 5, blobs: 7 }],
])('%s put in brings what it references, and no more', async (_, names, expected) => {
  const repository = await newRepository()
  await modify(repository, add(...names))
  expect(await counts(repository)).toEqual(expected)
})

test('the tags i and c copied bring what they reference', async () => {
  const repository = await newRepository()
  const curation = {
    repositoryId: await idOf(catalog.db, repository),
    actor: { id: null, name: 'ana' },
    cause: 'copy',
  } as const
  await curate(catalog.db, curation, copyWork({ from, tags: ['i', 'c'] }))
  expect(await counts(repository)).toEqual({ tags: 2, manifests: 4, blobs: 7 })
})

test('e taken out leaves the layer that a has too', async () => {
  const repository = await newRepository()
  await modify(repository, add('a', 'e'))
  await modify(repository, { remove: [{ digest: of('e') }] })
  expect(await counts(repository)).toEqual({ tags: 0, manifests: 1, blobs: 3 })
})

test('list iii taken out leaves the image that list i has too', async () => {
  const repository = await newRepository()
  await modify(repository, add('i', 'iii'))
  await modify(repository, { remove: [{ digest: of('iii') }] })
  expect(await counts(repository)).toEqual({ tags: 0, manifests: 3, blobs: 5 })
})
