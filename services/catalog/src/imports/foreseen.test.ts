import { adminRights, type Rights } from '@berth/access'
import { type Digest, mediaTypes } from '@berth/oci'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { digestOf, hashOf, type Packed, pack, packImages, tarOf } from '../archives/archive.fixture.ts'
import { blobName, layoutBytes, layoutName, ociIndexName } from '../archives/member-names.ts'
import { stageContent } from '../stages/stage-content.ts'
import { contentOf } from '../testing/catalog.fixture.ts'
import { apply, type Harbour, makeImport, plan, startHarbour, taskOf } from './imports.fixture.ts'
import { requireProven } from './require-proven.ts'

let harbour: Harbour
beforeAll(async () => {
  harbour = await startHarbour()
}, 60_000)
afterAll(() => harbour?.stop())

const isThere = async (name: string) =>
  (await harbour.db.query('select from repository where name = $1', [name])).length > 0
const bring = async (packed: Packed) =>
  expect(await apply(harbour, await makeImport(harbour, [packed]))).toMatchObject({ state: 'completed' })
const conflictOf = async (...[job, options]: [Parameters<typeof plan>[1], Parameters<typeof plan>[2]?]) =>
  (await plan(harbour, job, options)).repositories[0]?.conflict

describe('immutable tags of the target', () => {
  const base = packImages('fixed/app', { v1: [600], w1: [601] })
  const [, other = '' as Digest] = Object.values(base.tags)
  beforeAll(async () => {
    await bring(base)
    await harbour.db.query(`update repository set immutable_tags = '{v*}' where name = 'fixed/app'`)
  })

  test.each<[what: string, next: Packed, message: string]>([
    ['are not moved', { ...base, version: 4, tags: { v1: other, w1: other } }, 'The tag v1 of fixed/app is immutable'],
    ['are not taken away', { ...base, version: 4, tags: { w1: other } }, 'The tag v1 of fixed/app is immutable'],
  ])('%s: the plan says so, and nothing is stored', async (_what, next, message) => {
    const job = await makeImport(harbour, [next])
    expect(await conflictOf(job)).toEqual({ code: 'tag_immutable', message })
    expect(await apply(harbour, job)).toMatchObject({ state: 'failed', error: { code: 'tag_immutable' } })
    expect(await harbour.db.query('select from import_verified where import_id = $1', [job.id])).toEqual([])
    expect((await contentOf(harbour.db, 'fixed/app')).tags).toEqual(base.tags)
  })

  test('hold up neither others that move, nor what is merged beside them', async () => {
    expect(
      await conflictOf(
        await makeImport(harbour, [{ ...base, version: 4, tags: { v1: base.tags.v1 ?? other, w2: other } }]),
      ),
    ).toBe(null)
    const merged = { ...base, id: '0a0a0a0a-0000-4000-8000-000000000009', tags: { w9: other } }
    const wishes = { onConflict: { 'fixed/app': 'merge' as const } }
    expect(await conflictOf(await makeImport(harbour, [merged]), { wishes })).toBe(null)
  })

  test('are found among thousands', async () => {
    const many = packImages('fixed/many', { v1: [602], v2: [603] })
    const [one = '' as Digest, two = '' as Digest] = Object.values(many.tags)
    const tags = Object.fromEntries(Array.from({ length: 2_500 }, (_none, at) => [`v${at + 10_000}`, one]))
    await bring({ ...many, tags })
    await harbour.db.query(`update repository set immutable_tags = '{v*}' where name = 'fixed/many'`)
    const some = Object.fromEntries(Object.entries(tags).filter((_tag, at) => at % 2 === 0))
    const next = { ...many, version: 4, tags: { ...some, v10000: two, x: two } }
    expect(await conflictOf(await makeImport(harbour, [next]))).toEqual({
      code: 'tag_immutable',
      message: expect.stringMatching(/^1251 tags of fixed\/many are immutable, among them v10000, v10001, v10003, /),
    })
  })
})

describe('the quota of a namespace', () => {
  const shared = Buffer.alloc(4_000, 'shared')
  const first = packImages('small/a', { v1: [shared, 10] })
  const second = packImages('small/b', { v1: [shared, 20] })
  const bytes = new Map([...first.manifests, ...first.blobs, ...second.manifests, ...second.blobs])
  const all = [...bytes.values()].reduce((sum, { length }) => sum + length, 0)
  const setQuota = (quota: number) =>
    harbour.db.query(
      `insert into namespace (name, quota_bytes, created_by)
       values ('small', $1, 'ana')
       on conflict (name) do update set quota_bytes = excluded.quota_bytes`,
      [quota],
    )

  test('stands in the plan at the repository that would exceed it, and none is made', async () => {
    await setQuota(all - 1)
    const job = await makeImport(harbour, [first, second])
    const conflicts = (await plan(harbour, job)).repositories.map(({ conflict }) => conflict)
    expect(conflicts).toEqual([
      null,
      {
        code: 'quota_exceeded',
        message: `The quota of the namespace "small" is ${all - 1} bytes: 0 are used, and this wants ${all} more`,
      },
    ])
    expect(await apply(harbour, job)).toMatchObject({ state: 'failed', error: { code: 'quota_exceeded' } })
    expect([await isThere('small/a'), await isThere('small/b')]).toEqual([false, false])
  })

  test('that shrinks meanwhile holds too, and leaves no empty repository behind', async () => {
    await setQuota(all)
    const job = await makeImport(harbour, [first, second])
    const meanwhile = async () => {
      await setQuota(100)
      return undefined
    }
    expect(await apply(harbour, job, { meanwhile })).toMatchObject({
      state: 'failed',
      error: { code: 'quota_exceeded' },
    })
    expect([await isThere('small/a'), await isThere('small/b')]).toEqual([false, false])
  })

  test('counts once what several repositories have, and not again what is there', async () => {
    await setQuota(all)
    const job = await makeImport(harbour, [first, second])
    expect(await apply(harbour, job)).toMatchObject({ state: 'completed' })
    expect(await apply(harbour, job)).toMatchObject({ state: 'completed' })
    const [row] = await harbour.db.query(`select used_bytes as used from namespace where name = 'small'`)
    expect(row).toEqual({ used: all })
  })
})

describe('what changes after it was asked for is asked again under the lock', () => {
  test('whether the repository takes only what is signed', async () => {
    const app = packImages('lately/app', { v1: [700] })
    await bring(app)
    const next = { ...packImages('lately/app', { v2: [701] }), version: 4 }
    const meanwhile = async () => {
      await harbour.db.query(
        `update repository set signatures = '{"require": true, "keys": []}' where name = 'lately/app'`,
      )
      return undefined
    }
    expect(await apply(harbour, await makeImport(harbour, [next]), { meanwhile })).toMatchObject({
      state: 'failed',
      error: { code: 'signatures_required' },
    })
    expect((await contentOf(harbour.db, 'lately/app')).tags).toEqual(app.tags)
  })

  test('the rights on distributions and on the repository, and then nothing is made', async () => {
    const app = packImages('rights/app', { v1: [710] })
    const one = {
      name: 'open',
      basePath: 'rights/open',
      repository: 'rights/app',
      redirect: false,
      convertToSchema1: false,
      access: 'public' as const,
    }
    const distributed = tarOf(pack([app], { distributions: [one] }))
    const granted = (...verbs: Rights['grants'][number]['verbs'][number][]): Rights => ({
      accountId: null,
      grants: [{ id: 'some', verbs, all: true as const }],
    })
    for (const rights of [granted('push', 'pull', 'repository.create', 'distribution.create'), granted('pull')]) {
      const outcome = await apply(harbour, await makeImport(harbour, distributed), { meanwhile: async () => rights })
      expect(outcome).toMatchObject({ state: 'failed', error: { code: 'not_allowed' } })
      expect(await isThere('rights/app')).toBe(false)
    }
    const outcome = await apply(harbour, await makeImport(harbour, distributed), {
      meanwhile: async () => adminRights('6c4b1a52-0d0e-4b58-8a52-0e0f4d3c2b1a'),
    })
    expect(outcome).toMatchObject({ state: 'completed' })
  })
})

test('a manifest that is held under another type than its base has is refused, planned as well as staged', async () => {
  const config = Buffer.from('{}')
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
      layers: [],
    }),
  )
  const digest = digestOf(bytes)
  const base: Packed = {
    name: 'typed/app',
    id: '0a0a0a0a-0000-4000-8000-000000000005',
    tags: { x: digest },
    manifests: new Map([[digest, bytes]]),
    blobs: new Map([[digestOf(config), config]]),
    mediaType: mediaTypes.ociManifest,
  }
  await bring(base)
  const next: Packed = {
    ...base,
    version: 4,
    since: { number: 3, contentHash: hashOf(base) },
    tags: { x: digest, y: digest },
    held: new Set([digest, digestOf(config)]),
  }
  const message = `has another type in the base of "typed/app"`
  const lying = await makeImport(harbour, [{ ...next, mediaType: mediaTypes.dockerManifest }])
  await expect(plan(harbour, lying)).rejects.toThrow(message)
  const staging = { stage: `import:${lying.id}:typed/app`, fence: 1 }
  await stageContent(harbour.db, { ...staging, manifests: [], tags: [{ name: 'x', digest }], members: [digest] })
  const [repository] = await harbour.db.query<{ id: string }>(`select id from repository where name = 'typed/app'`)
  const proving = {
    importId: lying.id,
    stage: staging.stage,
    name: 'typed/app',
    repositoryId: repository?.id ?? '',
    origin: null,
  }
  const typed = (type: string) =>
    harbour.db.query('update stage_manifest set pushed_type = $2 where stage = $1', [staging.stage, type])
  await typed(mediaTypes.dockerManifest)
  await expect(requireProven(harbour.db, proving)).rejects.toThrow(message)
  await typed(mediaTypes.ociManifest)
  await requireProven(harbour.db, proving)
  await bring(next)
})

test('a name or base path that the map makes of what is in an archive has to be one', async () => {
  const app = packImages('mapped/app', { v1: [720] })
  const one = {
    name: 'd',
    basePath: 'mapped',
    repository: 'mapped/app',
    redirect: false,
    convertToSchema1: false,
    access: 'private' as const,
  }
  const job = await makeImport(harbour, tarOf(pack([app], { distributions: [one] })))
  const asked = (map: Record<string, string>) => plan(harbour, job, { wishes: { map } })
  await expect(asked({ 'mapped*': 'x/*' })).rejects.toMatchObject({ status: 400, options: { field: 'map' } })
  await expect(asked({ 'mapped/*': 'mirror/*', 'mapped*': 'x/*' })).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('the base path "x/"'),
  })
  const { repositories, distributions } = await asked({ 'mapped/*': 'mirror/*', mapped: 'mirror/front' })
  expect([repositories[0]?.target, distributions[0]?.basePath]).toEqual(['mirror/app', 'mirror/front'])
})

test('an archive of another tool that was ended behind its commit goes on, and again it changes nothing', async () => {
  const { manifests, blobs, tags } = packImages('plain/app', { '1': [730] })
  const [digest = '' as Digest] = Object.values(tags)
  const entry = {
    mediaType: mediaTypes.ociManifest,
    digest,
    size: manifests.get(digest)?.length,
    annotations: { 'org.opencontainers.image.ref.name': 'plain/app:1' },
  }
  const tar = tarOf([
    [layoutName, layoutBytes],
    [ociIndexName, Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [entry] }))],
    ...[...manifests, ...blobs].map(([one, bytes]): [string, Buffer] => [blobName(one), bytes]),
  ])
  const job = await makeImport(harbour, tar)
  const task = taskOf(job)
  expect(await apply(harbour, job, { task })).toMatchObject({ state: 'completed' })
  const goesOn = await apply(harbour, job, { task: { ...task, fence: 2 } })
  expect(goesOn).toMatchObject({ state: 'completed', result: { repositories: [{ version: 1, created: true }] } })
  const again = await apply(harbour, await makeImport(harbour, tar))
  expect(again).toMatchObject({ state: 'completed', result: { repositories: [{ version: 1, created: false }] } })
})
