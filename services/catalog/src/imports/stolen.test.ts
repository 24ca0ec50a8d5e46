import { type Digest, mediaTypes } from '@berth/oci'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { digestOf, hashOf, type Packed, pack, packImages, tarOf } from '../archives/archive.fixture.ts'
import { contentOf } from '../testing/catalog.fixture.ts'
import { apply, type Harbour, makeImport, plan, startHarbour } from './imports.fixture.ts'

let harbour: Harbour
const secret = packImages('secret/app', { v1: [900] })
const [stolen = '' as Digest] = secret.manifests.keys()
const [layer = '' as Digest] = [...secret.blobs].find(([, { length }]) => length === 900) ?? []

beforeAll(async () => {
  harbour = await startHarbour()
  expect(await apply(harbour, await makeImport(harbour, [secret]))).toMatchObject({ state: 'completed' })
}, 60_000)
afterAll(() => harbour?.stop())

const layerType = 'application/vnd.oci.image.layer.v1.tar'
const config = Buffer.from('{}')

/** A repository with one manifest of its own. */
function own(body: object, blobs = new Map([[digestOf(config), config]])): Packed {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...body }))
  return {
    name: 'thief/app',
    id: '0a0a0a0a-0000-4000-8000-000000000003',
    tags: { x: digestOf(bytes) },
    manifests: new Map([[digestOf(bytes), bytes]]),
    blobs,
  }
}

const image = (layers: object[]) =>
  own({
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
    layers,
  })
const theirs = { mediaType: layerType, digest: layer, size: 900 }
const withBlob = (packed: Packed, mark: Partial<Packed>): Packed => ({
  ...packed,
  blobs: new Map([...packed.blobs, [layer, Buffer.alloc(900)]]),
  ...mark,
})
const all = new Set([...secret.manifests.keys(), ...secret.blobs.keys()])
const withManifest = (packed: Packed): Packed => ({
  ...packed,
  manifests: new Map([...packed.manifests, ...secret.manifests]),
  held: all,
})
const index = (digest: Digest, mediaType: string = mediaTypes.ociManifest) =>
  own(
    { mediaType: mediaTypes.ociIndex, manifests: [{ mediaType, digest, size: secret.manifests.get(stolen)?.length }] },
    new Map(),
  )
const since = { number: 3, contentHash: hashOf(secret) }

describe('what the store has of others is given to nobody by an archive that does not carry it', () => {
  test.each<[what: string, packed: () => Packed, code: string]>([
    ['a manifest that is held by no base', () => ({ ...secret, name: 'thief/app', held: all }), 'bad_archive'],
    [
      'a manifest that is held by a base that is elsewhere',
      () => ({ ...secret, name: 'thief/app', version: 4, since, held: all }),
      'base_missing',
    ],
    ['a layer of an own manifest that no line names', () => image([theirs]), 'bad_archive'],
    [
      'a layer of an own manifest that is held',
      () => withBlob(image([theirs]), { held: new Set([layer]) }),
      'bad_archive',
    ],
    [
      'a layer that is foreign by its line and not by its manifest',
      () => withBlob(image([theirs]), { foreign: new Set([layer]) }),
      'bad_archive',
    ],
    ['a manifest that an own index names, held', () => withManifest(index(stolen)), 'bad_archive'],
    ['a blob that an own index names under a type of nothing', () => index(layer, 'text/x'), 'bad_archive'],
    ['a manifest that an own index names under a type of nothing', () => index(stolen, 'text/x'), 'bad_archive'],
  ])('%s', async (_what, packed, code) => {
    const job = await makeImport(harbour, [packed()])
    // The plan says it as applying it does.
    const planned = plan(harbour, job).then(
      ({ repositories }) => repositories[0]?.conflict?.code,
      (error: { code?: string }) => error.code,
    )
    expect(await planned).toBe(code)
    expect(await apply(harbour, job)).toMatchObject({ state: 'failed', error: { code } })
    expect(await harbour.db.query(`select from repository where name = 'thief/app'`)).toEqual([])
  })

  test('what an index names beside what is carried stays out', async () => {
    const sparse = index(stolen)
    expect(await apply(harbour, await makeImport(harbour, [sparse]))).toMatchObject({ state: 'completed' })
    const { manifests, blobs } = await contentOf(harbour.db, 'thief/app')
    expect({ manifests, blobs }).toEqual({ manifests: [...sparse.manifests.keys()], blobs: [] })
  })

  test('a base of its own proves what it has, and nothing else', async () => {
    const mine = { ...image([]), name: 'thief/based' }
    expect(await apply(harbour, await makeImport(harbour, [mine]))).toMatchObject({ state: 'completed' })
    const theft = image([theirs])
    const next: Packed = {
      ...mine,
      version: 4,
      since: { number: 3, contentHash: hashOf(mine) },
      manifests: new Map([...mine.manifests, ...theft.manifests]),
      held: new Set([...mine.manifests.keys(), ...mine.blobs.keys()]),
    }
    const outcome = await apply(harbour, await makeImport(harbour, tarOf(pack([next]))))
    expect(outcome).toMatchObject({
      state: 'failed',
      error: { code: 'bad_archive', message: expect.stringContaining(layer) },
    })
    expect((await contentOf(harbour.db, 'thief/based')).manifests).toEqual([...mine.manifests.keys()])
  })
})

test('a type that a line says has to fit the bytes, and settings have to be such as the API takes', async () => {
  const typed = { ...image([]), name: 'thief/typed' }
  const mediaType = mediaTypes.dockerList
  const outcome = await apply(harbour, await makeImport(harbour, [{ ...typed, mediaType }]))
  expect(outcome).toMatchObject({
    state: 'failed',
    error: { code: 'bad_archive', message: expect.stringContaining(`Content-Type says ${mediaType}`) },
  })
  const settled = { ...image([]), name: 'thief/typed', immutableTags: ['['] }
  expect(await apply(harbour, await makeImport(harbour, [settled]))).toMatchObject({
    state: 'failed',
    error: { code: 'bad_archive', message: expect.stringContaining('immutableTags[0]') },
  })
  expect(await harbour.db.query(`select from repository where name = 'thief/typed'`)).toEqual([])
})
