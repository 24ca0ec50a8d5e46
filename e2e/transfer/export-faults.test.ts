import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { gone, imageOf } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { apiAs, grant, makeUser } from '../access/people.ts'
import { until } from '../berth/processes.ts'
import { pushRandomImage, type Target } from '../berth/push.ts'
import { basic, localRemote, make, sha256, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { askForExport, exported, save } from './exporting.ts'

const run = promisify(execFile)
const stack = withBerth({ own: true, env: { BERTH_TASK_LEASE_SECONDS: '3', BERTH_PUSH_LEASE_SECONDS: '1' } })
const upstream = withUpstream()
const target = (): Target => ({ url: stack.url, authorization: basic(stack) })
const transfer = () => path.join(stack.home, 'transfer')
const toDirectory = (name: string) => ({ kind: 'directory', path: name })
const toDownload = { kind: 'download' }

/** Where the bytes of a digest lie, whatever their generation. */
function fileOf(digest: string): string {
  const hex = digest.slice('sha256:'.length)
  const folder = path.join(stack.home, 'blobs/blobs/sha256', hex.slice(0, 2))
  const name = readdirSync(folder).find((one) => one.startsWith(`${hex}.`))
  if (!name) throw new Error(`${digest} is not stored`)
  return path.join(folder, name)
}

/** All that lies below the directory for transfers. */
function written(): string[] {
  return existsSync(transfer()) ? readdirSync(transfer(), { recursive: true }).map(String).toSorted() : []
}

test.each(['on_demand', 'streamed'])(
  'layers that a remote of policy %s has left upstream are fetched first',
  async (policy) => {
    const name = `carried/${policy}`
    const image = imageOf(`${name} image`, 300_000, 200_000)
    upstream.add(name, 'latest', image)
    await make(stack, '/remotes', localRemote(policy, upstream.url, name, { retries: 0, policy }))
    await make(stack, '/repositories', { name })
    await sync(stack, name, policy)
    const body = { repositories: [{ name }], to: toDownload }
    const { blobs, bytes } = await exported(stack, body)
    expect([blobs, bytes > 500_000]).toEqual([4, true])
  },
)

test('what no remote gives any more fails the export, which names it', async () => {
  const name = 'carried/gone'
  const image = imageOf(`${name} image`, 300_000)
  upstream.add(name, 'latest', image)
  await make(stack, '/remotes', localRemote('gone', upstream.url, name, { retries: 0, policy: 'on_demand' }))
  await make(stack, '/repositories', { name })
  await sync(stack, name, 'gone')
  upstream.when(/gone/, gone)
  const task = await askForExport(stack, { repositories: [{ name }], to: toDownload })
  upstream.mend()
  expect(task).toMatchObject({
    state: 'failed',
    error: { code: 'content_missing', message: expect.stringContaining(image.layers[0]?.digest ?? '') },
  })
})

test('rotten and missing bytes fail an export, which names all of them and leaves nothing', async () => {
  const { layers } = await pushRandomImage(target(), 'carried/rotten', '1', [50_000, 60_000, 70_000])
  const [rotten = '', missing = ''] = layers
  const bytes = readFileSync(fileOf(rotten))
  bytes[1_000] = (bytes[1_000] ?? 0) ^ 1
  writeFileSync(fileOf(rotten), bytes)
  rmSync(fileOf(missing))
  const body = { repositories: [{ name: 'carried/rotten' }], to: toDirectory('rotten/all') }
  const { state, error } = await askForExport(stack, body)
  expect([state, error?.code]).toEqual(['failed', 'content_damaged'])
  expect(error?.message).toContain(`${rotten} (rotten)`)
  expect(error?.message).toContain(`${missing} (missing)`)
  expect(written()).toEqual(['rotten'])
  const damaged = (await stack.api('GET', '/store/damage')).body.items
  expect(damaged).toContainEqual(expect.objectContaining({ digest: rotten, damage: 'rotten' }))
})

test('a path never leads through a link, and never onto what is there', async () => {
  await pushRandomImage(target(), 'carried/places', '1')
  const repositories = [{ name: 'carried/places' }]
  const outside = makeTemporaryFolder('outside')
  mkdirSync(path.join(transfer(), 'places'), { recursive: true })
  symlinkSync(outside, path.join(transfer(), 'places', 'link'))
  writeFileSync(path.join(transfer(), 'places', 'file'), '')
  for (const name of ['places/link/x', 'places/file/x'])
    expect(await stack.api('POST', '/exports', { repositories, to: toDirectory(name) })).toMatchObject({
      status: 409,
      body: { code: 'not_a_folder' },
    })
  for (const name of ['places/link', 'places/file'])
    expect(await stack.api('POST', '/exports', { repositories, to: toDirectory(name) })).toMatchObject({
      status: 409,
      body: { code: 'target_exists' },
    })
  const absolute = await exported(stack, { repositories, to: toDirectory(path.join(transfer(), 'places', 'a.tar')) })
  expect(statSync(path.join(transfer(), 'places', 'a.tar')).size).toBe(absolute.archiveBytes)
  expect(statSync(transfer()).mode & 0o777).toBe(0o700)
  await exported(stack, { repositories, to: toDirectory('places/layout') })
  expect(await stack.api('POST', '/exports', { repositories, to: toDirectory('places/layout/b.tar') })).toMatchObject({
    status: 409,
    body: { code: 'target_exists', detail: expect.stringContaining('inside') },
  })
  expect(readdirSync(outside)).toEqual([])
  removeFolder(outside)
  rmSync(path.join(transfer(), 'places'), { recursive: true })
})

const cannotMount = process.geteuid?.() === 0 ? missingPrograms('mount', 'umount') : ['root']
const testMounted = cannotMount.length > 0 ? test.skip : test
testMounted(
  `a place that is full is told of before anything is written${cannotMount.length > 0 ? ` (skipped: needs ${cannotMount.join(', ')})` : ''}`,
  async () => {
    await pushRandomImage(target(), 'carried/large', '1', [30_000_000])
    const place = path.join(transfer(), 'small')
    mkdirSync(place, { recursive: true })
    await run('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', place])
    try {
      const body = { repositories: [{ name: 'carried/large' }], to: toDirectory('small/all.tar') }
      expect(await askForExport(stack, body)).toMatchObject({
        state: 'failed',
        error: { code: 'no_space', message: expect.stringContaining('are free where it is to lie') },
      })
      expect(readdirSync(place)).toEqual([])
      await run('mount', ['-o', 'remount,ro', place])
      const small = { repositories: [{ name: 'carried/places' }], to: toDirectory('small/all.tar') }
      expect(await askForExport(stack, small)).toMatchObject({ state: 'failed', error: { code: 'not_writable' } })
    } finally {
      await run('umount', [place])
      rmSync(place, { recursive: true })
    }
  },
)

test('F34: an export whose worker is killed in the middle is complete at the end, and nothing partial stays', async () => {
  await pushRandomImage(target(), 'carried/killed', '1', [150_000_000])
  const body = { repositories: [{ name: 'carried/killed' }], to: toDirectory('killed/all.tar') }
  const place = path.join(transfer(), 'killed')
  const partial = () => (existsSync(place) ? readdirSync(place) : []).find((name) => name.endsWith('.partial'))
  const { body: task } = await stack.api('POST', '/exports', body)
  await until('some of it is written', () => {
    const name = partial()
    return name !== undefined && statSync(path.join(place, name)).size > 10_000_000
  })
  await stack.kill('SIGKILL')
  await stack.restart()
  const ended = await stack.waitForTask(task.id)
  expect(ended).toMatchObject({ state: 'completed' })
  expect(readdirSync(place)).toEqual(['all.tar'])
  expect(sha256(readFileSync(path.join(place, 'all.tar')))).toBe(ended.result.archiveDigest)
  rmSync(place, { recursive: true })
}, 90_000)

test('a cancelled export leaves nothing', async () => {
  await pushRandomImage(target(), 'carried/cancelled', '1', [400_000_000])
  const body = { repositories: [{ name: 'carried/cancelled' }], to: toDirectory('cancelled/all') }
  const place = path.join(transfer(), 'cancelled')
  const { body: task } = await stack.api('POST', '/exports', body)
  await until('some of it is written', () => existsSync(place) && readdirSync(place).length > 0)
  await stack.api('POST', `/tasks/${task.id}/cancel`)
  expect(await stack.waitForTask(task.id)).toMatchObject({ state: 'cancelled' })
  expect(readdirSync(place)).toEqual([])
  const [latest] = (await stack.api('GET', '/exports')).body.items
  expect(latest).toMatchObject({ state: 'cancelled', error: { code: 'cancelled' } })
})

test('what a download holds is not collected while it is kept, though its repository is deleted', async () => {
  const { layers } = await pushRandomImage(target(), 'carried/deleted', '1', [80_000])
  const { exportId, archiveDigest } = await exported(stack, {
    repositories: [{ name: 'carried/deleted' }],
    to: toDownload,
  })
  for (const kind of ['distributions', 'repositories'])
    expect((await stack.api('DELETE', `/${kind}/carried%2Fdeleted`)).status).toBe(204)
  const collect = async () => {
    const { body: task } = await stack.api('POST', '/store/gc', { graceSeconds: 0 })
    expect(await stack.waitForTask(task.id)).toMatchObject({ state: 'completed' })
  }
  await until('only the export holds it', async () => {
    const { leases } = (await stack.api('GET', `/store/explain/${layers[0]}`)).body
    await collect()
    return leases.length === 1 && leases[0].holder === `export:${exportId}`
  })
  await collect()
  const folder = makeTemporaryFolder('collected')
  expect(sha256(readFileSync(await save(stack, exportId, folder, 'kept.tar')))).toBe(archiveDigest)
  removeFolder(folder)
  await stack.api('DELETE', `/exports/${exportId}`)
  await until('it is collected', async () => {
    await collect()
    return (await stack.api('GET', `/store/explain/${layers[0]}`)).status === 404
  })
})

test('who may not pull a repository is told of none, and a selector takes what may be pulled', async () => {
  for (const name of ['carried/mine', 'secret/theirs']) {
    await make(stack, '/repositories', { name, labels: { carry: 'yes' } })
    await pushRandomImage(target(), name, '1')
  }
  const [ann, bob] = [await person('ann', 'carried'), await person('bob', 'carried')]
  const theirs = { repositories: [{ name: 'secret/theirs' }], to: toDownload }
  expect(await ann('POST', '/exports', theirs)).toMatchObject({ status: 404 })
  expect(await ann('POST', '/exports', { ...theirs, to: toDirectory('x') })).toMatchObject({ status: 403 })
  const { status, body: task } = await ann('POST', '/exports', { selector: 'carry=yes', to: toDownload })
  expect(status).toBe(202)
  const { result } = await stack.waitForTask(task.id)
  const shown = await ann('GET', `/exports/${result.exportId}`)
  expect(shown.body.repositories).toMatchObject([{ name: 'carried/mine', version: 1, since: null }])
  expect(await bob('GET', `/exports/${result.exportId}`)).toMatchObject({ status: 404 })
  expect((await bob('GET', '/exports')).body.items).toEqual([])
  expect(await bob('GET', `/exports/${result.exportId}/download`)).toMatchObject({ status: 404 })
  expect((await ann('HEAD', `/exports/${result.exportId}/download`)).status).toBe(200)
  const [given] = (await stack.api('GET', '/grants?to=user:ann')).body.items
  expect((await stack.api('DELETE', `/grants/${given.id}`)).status).toBe(204)
  expect(await ann('GET', `/exports/${result.exportId}/download`)).toMatchObject({ status: 404 })
  expect(await ann('POST', '/exports', { selector: 'carry=no', to: toDownload })).toMatchObject({
    status: 422,
    body: { code: 'nothing_selected' },
  })
})

async function person(name: string, namespace: string) {
  const login = await makeUser(stack, name)
  await grant(stack, { user: name }, 'puller', `namespace:${namespace}`)
  return (method: string, at: string, body?: object) => apiAs(stack, login, method, at, body)
}
