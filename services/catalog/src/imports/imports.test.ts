import { generateKeyPairSync } from 'node:crypto'
import { noRights } from '@berth/access'
import type { Digest } from '@berth/oci'
import { TaskLost } from '@berth/worker'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { digestOf, hashOf, type Packed, pack, packImages, tarOf } from '../archives/archive.fixture.ts'
import type { ExportedDistribution } from '../archives/document.ts'
import { blobName } from '../archives/member-names.ts'
import { contentOf, pushManifest } from '../testing/catalog.fixture.ts'
import { push } from '../testing/collect.fixture.ts'
import { apply, type Harbour, jobOf, makeImport, plan, startHarbour, taskOf } from './imports.fixture.ts'

let harbour: Harbour
beforeAll(async () => {
  harbour = await startHarbour()
}, 60_000)
afterAll(() => harbour?.stop())

const bytesOf = async (digest: Digest): Promise<Buffer> => {
  const [row] = await harbour.db.query<{ generation: number; state: string }>(
    'select generation, state from blob where digest = $1',
    [digest],
  )
  expect(row?.state).toBe('present')
  const blob = await harbour.blobs.open({ digest, generation: row?.generation ?? 0 })
  if (!blob) throw new Error(`${digest} is not in the store`)
  const parts: Buffer[] = []
  for await (const chunk of blob.stream()) parts.push(chunk as Buffer)
  await blob.close()
  return Buffer.concat(parts)
}

async function expectHas(packed: Packed, name = packed.name): Promise<void> {
  const content = await contentOf(harbour.db, name)
  expect(content.tags).toEqual(packed.tags)
  expect(content.manifests).toEqual([...packed.manifests.keys()].sort())
  expect(content.blobs).toEqual([...packed.blobs.keys()].sort())
  for (const [digest, bytes] of [...packed.manifests, ...packed.blobs])
    expect((await bytesOf(digest)).equals(bytes)).toBe(true)
}

const isThere = async (name: string) =>
  (await harbour.db.query('select from repository where name = $1', [name])).length > 0

/** What a repository has after another push of it, and what of that a delta leaves out. */
function nextOf(base: Packed, more: Packed): Packed {
  const held = new Set([...base.manifests.keys(), ...base.blobs.keys()])
  return {
    ...base,
    version: 4,
    since: { number: 3, contentHash: hashOf(base) },
    tags: { ...base.tags, ...more.tags },
    manifests: new Map([...base.manifests, ...more.manifests]),
    blobs: new Map([...base.blobs, ...more.blobs]),
    held,
  }
}

test('an archive becomes one version of each repository, with the same digests, and doing it again changes nothing', async () => {
  const app = packImages('first/app', { v1: [500, 20_000], v2: [700] })
  const web = { ...packImages('first/web', { latest: [3_000] }), immutableTags: ['v*'] }
  const job = await makeImport(harbour, [app, web])
  const planned = await plan(harbour, job, { wishes: { map: { 'first/*': 'mirror/first/*' } } })
  expect(
    planned.repositories.map(({ name, target, action, conflict }) => ({ name, target, action, conflict })),
  ).toEqual([
    { name: 'first/app', target: 'mirror/first/app', action: 'create', conflict: null },
    { name: 'first/web', target: 'mirror/first/web', action: 'create', conflict: null },
  ])
  expect(planned.repositories[0]).toMatchObject({ tags: 2, manifests: 2, blobs: 5, new: { manifests: 2, blobs: 5 } })
  expect(await isThere('mirror/first/app')).toBe(false)
  const wishes = { map: { 'first/*': 'mirror/first/*' } }
  expect(await apply(harbour, job, { wishes })).toMatchObject({
    state: 'completed',
    result: {
      signature: 'unsigned',
      repositories: [
        { name: 'first/app', repository: 'mirror/first/app', version: 1, created: true },
        { name: 'first/web', repository: 'mirror/first/web', version: 1, created: true },
      ],
      blobs: { verified: 10, stored: 10, known: 0 },
    },
  })
  await expectHas(app, 'mirror/first/app')
  await expectHas(web, 'mirror/first/web')
  const [version] = await harbour.db.query(
    `select cause, version.created_by as by, content_hash as hash, repository.immutable_tags as "immutableTags"
     from version
     join repository on repository.id = repository_id
     where name = 'mirror/first/web'
       and number = 1`,
  )
  expect(version).toEqual({ cause: 'import', by: 'ana', hash: hashOf(web), immutableTags: ['v*'] })
  expect(await jobOf(harbour, job.id)).toMatchObject({ state: 'completed', error: null })
  expect(await apply(harbour, job, { wishes })).toMatchObject({
    state: 'completed',
    result: {
      repositories: [
        { version: 1, created: false },
        { version: 1, created: false },
      ],
      blobs: { stored: 0 },
    },
  })
  const read = await harbour.db.query('select from import_verified where import_id = $1 and times > 1', [job.id])
  expect(read).toEqual([])
  const events = await harbour.db.query<{ type: string }>(
    `select event ->> 'type' as type from outbox where event -> 'data' ->> 'importId' = $1`,
    [job.id],
  )
  expect(events.map(({ type }) => type)).toEqual(Array(2).fill('dev.berth.catalog.import.completed.v1'))
})

test('a delta brings what is new, and only where its base is', async () => {
  const base = packImages('delta/app', { v1: [4_000, 9_000] })
  const next = nextOf(base, packImages('delta/app', { v2: [1_500] }))
  const delta = await makeImport(harbour, [next])
  expect((await plan(harbour, delta)).repositories[0]?.conflict?.code).toBe('base_missing')
  expect(await apply(harbour, delta)).toMatchObject({ state: 'failed', error: { code: 'base_missing' } })
  expect(await isThere('delta/app')).toBe(false)
  await apply(harbour, await makeImport(harbour, [base]))
  expect((await plan(harbour, delta)).repositories[0]).toMatchObject({
    action: 'update',
    conflict: null,
    new: { manifests: 1, blobs: 2 },
  })
  expect(await apply(harbour, delta)).toMatchObject({
    state: 'completed',
    result: { repositories: [{ version: 2, created: true }], blobs: { verified: 3 } },
  })
  await expectHas(next)
  // What is there already, newer than what is brought, is not taken back without a word.
  expect((await plan(harbour, await makeImport(harbour, [base]))).repositories[0]?.conflict?.code).toBe('older_version')
})

test('what was changed here is only replaced or merged where that is asked for, also when it changes meanwhile', async () => {
  const app = packImages('both/app', { v1: [800] })
  const own = await push(harbour, 'both/app', 'layer of ours')
  await pushManifest(harbour.db, 'both/app', { blobs: [own] }, ['ours'])
  const job = await makeImport(harbour, [app])
  expect((await plan(harbour, job)).repositories[0]?.conflict?.code).toBe('changed_here')
  expect(await apply(harbour, job)).toMatchObject({ state: 'failed', error: { code: 'changed_here' } })
  expect(Object.keys((await contentOf(harbour.db, 'both/app')).tags)).toEqual(['ours'])
  await apply(harbour, job, { wishes: { onConflict: { 'both/app': 'merge' } } })
  expect(Object.keys((await contentOf(harbour.db, 'both/app')).tags).sort()).toEqual(['ours', 'v1'])
  await apply(harbour, job, { wishes: { onConflict: { 'both/app': 'replace' } } })
  await expectHas(app)
  expect((await plan(harbour, job)).repositories[0]?.conflict).toBe(null)
})

describe('distributions', () => {
  const app = packImages('shown/app', { v1: [300] })
  const shared = { repository: 'shown/app', redirect: false, convertToSchema1: false } as const
  const distributions: ExportedDistribution[] = [
    { ...shared, name: 'shown/app', basePath: 'shown/app', access: 'public', warning: 'moved' },
    { ...shared, name: 'pinned', basePath: 'shown/pinned', access: 'private', version: 3 },
  ]
  const archive = () => tarOf(pack([app], { distributions }))
  const served = (name: string) =>
    harbour.db.query(
      `select base_path as "basePath", access, version, warning
       from distribution
       join repository on repository.id = repository_id
       where repository.name = $1
       order by base_path`,
      [name],
    )

  test('are made as they were, a pinned one on the version that was made', async () => {
    const job = await makeImport(harbour, archive())
    const map = { 'shown/*': 'mirror/shown/*' }
    expect(await apply(harbour, job, { wishes: { map } })).toMatchObject({ state: 'completed' })
    expect(await served('mirror/shown/app')).toEqual([
      { basePath: 'mirror/shown/app', access: 'public', version: null, warning: 'moved' },
      { basePath: 'mirror/shown/pinned', access: 'private', version: 1, warning: null },
    ])
    const again = await plan(harbour, job, { wishes: { map } })
    expect(again.distributions.map(({ action }) => action)).toEqual(['kept', 'kept'])
  })

  test('are not made of what is here by whoever may only push to it', async () => {
    const seen = packImages('pushed/app', { v1: [310] })
    await apply(harbour, await makeImport(harbour, [seen]))
    const one = { ...shared, name: 'open', basePath: 'open', repository: 'pushed/app', access: 'private' as const }
    const job = await makeImport(harbour, tarOf(pack([seen], { distributions: [one] })))
    const verbs = ['push', 'distribution.create'] as const
    const rights = { accountId: null, grants: [{ id: 'some', verbs, all: true as const }] }
    expect((await plan(harbour, job, { rights })).distributions).toMatchObject([{ action: 'not_allowed' }])
    const pulling = {
      accountId: null,
      grants: [{ id: 'some', verbs: [...verbs, 'pull'] as const, all: true as const }],
    }
    expect((await plan(harbour, job, { rights: pulling })).distributions).toMatchObject([{ action: 'create' }])
  })

  test('that are public need the right to publish', async () => {
    const verbs = ['read', 'push', 'repository.create', 'distribution.create'] as const
    const rights = { accountId: null, grants: [{ id: 'some', verbs, all: true as const }] }
    const outcome = await apply(harbour, await makeImport(harbour, archive()), { rights })
    expect(outcome).toMatchObject({ state: 'failed', error: { code: 'not_allowed' } })
    expect(await isThere('shown/app')).toBe(false)
  })
})

describe('signatures', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const app = packImages('signed/app', { v1: [300] })
  test.each([
    ['an archive of nobody', undefined, true, 'signature_required'],
    ['an archive of somebody else', generateKeyPairSync('ed25519').privateKey, true, 'signature_required'],
    ['one that asks for it itself', undefined, false, 'signature_required'],
    ['an archive of ours', privateKey, true, undefined],
  ])('%s', async (_what, key, requireSignature, code) => {
    const job = await makeImport(harbour, [app], key)
    const wishes = { requireSignature: !requireSignature, map: { '*': `signed/${requireSignature}` } }
    const outcome = await apply(harbour, job, { trustedKeys: [publicKey], requireSignature, wishes })
    expect(outcome.error?.code).toBe(code)
    expect(await isThere(`signed/${requireSignature}`)).toBe(code === undefined)
  })
})

describe('nobody gets by an archive what he does not bring', () => {
  test('bytes under the digest of what others have are refused, though the store has that', async () => {
    const secret = packImages('secret/app', { v1: [900] })
    await apply(harbour, await makeImport(harbour, [secret]))
    const members = new Map(pack([{ ...secret, name: 'thief/app' }]))
    const [layer] = [...secret.blobs].find(([, { length }]) => length === 900) ?? []
    members.set(blobName(layer as Digest), Buffer.alloc(900))
    const outcome = await apply(harbour, await makeImport(harbour, tarOf(members)))
    expect(outcome).toMatchObject({
      state: 'failed',
      error: { code: 'bad_archive', message: expect.stringContaining(String(layer)) },
    })
    expect(await isThere('thief/app')).toBe(false)
  })

  test('what is said to be held by a base has to be in that base', async () => {
    const own = packImages('claims/app', { v1: [1_100] })
    await apply(harbour, await makeImport(harbour, [own]))
    const secret = packImages('claimed/app', { v9: [1_200] })
    await apply(harbour, await makeImport(harbour, [secret]))
    const claims = nextOf(own, secret)
    const all = { ...claims, held: new Set([...claims.manifests.keys(), ...claims.blobs.keys()]) }
    const outcome = await apply(harbour, await makeImport(harbour, [all]))
    expect(outcome).toMatchObject({ state: 'failed', error: { code: 'base_missing' } })
    await expectHas(own)
  })

  test('without the right to push nothing is stored, and it is not said what is there', async () => {
    const app = packImages('first/app', { v1: [500, 20_000] })
    const job = await makeImport(harbour, [app])
    const options = {
      rights: noRights('0a0a0a0a-0000-4000-8000-000000000002'),
      wishes: { map: { '*': 'mirror/first/app' } },
    }
    expect((await plan(harbour, job, options)).repositories[0]).toMatchObject({
      conflict: { code: 'not_allowed' },
      new: { manifests: 1, blobs: 3 },
    })
    expect(await apply(harbour, job, options)).toMatchObject({ state: 'failed', error: { code: 'not_allowed' } })
    await apply(harbour, await makeImport(harbour, [packImages('hidden/app', { v1: [700] })]))
    const seen = async (name: string) => {
      const { repositories } = await plan(harbour, job, { ...options, wishes: { map: { '*': name } } })
      return JSON.stringify(repositories).replaceAll(name, 'NAME')
    }
    expect(await seen('hidden/app')).toBe(await seen('absent/app'))
  })
})

const places = 60 * Number(process.env.BERTH_TEST_RUNS ?? 1)
test(`of an archive that was changed anywhere nothing becomes visible: ${places} places`, async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const tar = tarOf(pack([packImages('flipped/app', { v1: [400, 2_000] })], { key: privateKey }))
  for (let count = 0; count < places; count++) {
    const at = Math.floor((tar.length * (count + 0.5)) / places)
    const bytes = Buffer.from(tar)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (count % 8))
    const outcome = await apply(harbour, await makeImport(harbour, bytes), {
      trustedKeys: [publicKey],
      requireSignature: true,
    })
    expect(outcome).toMatchObject({
      state: 'failed',
      error: { code: expect.stringMatching(/^(bad_archive|newer_format|signature_required)$/) },
    })
  }
  expect(await isThere('flipped/app')).toBe(false)
}, 120_000)

test('an import that is ended at each tenth goes on where it was, and reads nothing twice', async () => {
  const images = Object.fromEntries(Array.from({ length: 12 }, (_none, at) => [`v${at}`, [1_000 + at, 2_000 + at]]))
  const app = packImages('tenths/app', images)
  const job = await makeImport(harbour, [app])
  const total = app.manifests.size + app.blobs.size
  const task = taskOf(job)
  for (let tenth = 1; tenth <= 9; tenth++) {
    const ending = new AbortController()
    const watch = async () => {
      while (!ending.signal.aborted) {
        const rows = await harbour.db.query('select from import_verified where import_id = $1', [job.id])
        if (rows.length >= (total * tenth) / 10) ending.abort(new TaskLost())
      }
    }
    const watching = watch()
    const attempt = apply(harbour, job, { task: { ...task, fence: tenth }, signal: ending.signal })
    await attempt.catch((error: unknown) => expect(error).toBeInstanceOf(TaskLost))
    ending.abort(new TaskLost())
    await watching
  }
  expect(await apply(harbour, job, { task: { ...task, fence: 10 } })).toMatchObject({ state: 'completed' })
  // Also one that was ended behind its commit, before that was written down.
  expect(await apply(harbour, job, { task: { ...task, fence: 11 } })).toMatchObject({ state: 'completed' })
  await expectHas(app)
  const twice = await harbour.db.query('select from import_verified where import_id = $1 and times > 1', [job.id])
  expect(twice).toEqual([])
})

test('verifying reads all and imports nothing', async () => {
  const app = packImages('looked/app', { v1: [300] })
  const job = await makeImport(harbour, [app])
  expect(await apply(harbour, job, { kind: 'verify' })).toMatchObject({
    state: 'completed',
    result: { blobs: { verified: 3 } },
  })
  expect(await isThere('looked/app')).toBe(false)
  const damaged = new Map(pack([app]))
  const [layer] = [...app.blobs.keys()]
  damaged.set(blobName(layer as Digest), Buffer.alloc(app.blobs.get(layer as Digest)?.length ?? 0))
  expect(await apply(harbour, await makeImport(harbour, tarOf(damaged)), { kind: 'verify' })).toMatchObject({
    state: 'failed',
    error: {
      code: 'bad_archive',
      message: expect.stringContaining(digestOf(app.blobs.get(layer as Digest) ?? '').slice(7)),
    },
  })
})
