import { execFile } from 'node:child_process'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushBlob, pushManifest, pushRandomImage, send, startUpload, type Target } from '../berth/push.ts'
import { basic, make, sha256 } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { exported, save } from './exporting.ts'

const run = promisify(execFile)
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const key = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
const stack = withBerth({ own: true, env: { BERTH_EXPORT_SIGNING_KEY: key } })
const target = (): Target => ({ url: stack.url, authorization: basic(stack) })
const headers = () => ({ authorization: basic(stack) })

let folder: string
beforeAll(() => {
  folder = makeTemporaryFolder('export')
})
afterAll(() => removeFolder(folder))

const toDownload = { kind: 'download' }

async function download(id: string, more = '/download', range?: string): Promise<Response> {
  return fetch(`${stack.url}/api/v1/exports/${id}${more}`, {
    headers: { ...headers(), ...(range === undefined ? {} : { range }) },
  })
}

test('a download is an archive that skopeo reads, with an index that is signed, and the same each time', async () => {
  const app = await pushRandomImage(target(), 'team/app', '1', [2_000, 70_000])
  const web = await pushRandomImage(target(), 'team/web', 'latest')
  const signature = `sha256-${app.digest.slice(7)}.sig`
  await pushManifest(target(), 'team/app', signature, web.text, 'application/vnd.oci.image.manifest.v1+json').catch(
    () => 'its blobs are elsewhere',
  )
  const wanted = { repositories: [{ name: 'team/web' }, { name: 'team/app' }], to: toDownload }
  const result = await exported(stack, wanted)
  expect(result).toMatchObject({ repositories: 2, blobs: 6, parts: 0 })
  const file = await save(stack, result.exportId, folder, 'two.tar')
  const bytes = readFileSync(file)
  expect(sha256(bytes)).toBe(result.archiveDigest)
  expect(bytes).toHaveLength(result.archiveBytes)

  const { stdout } = await run('tar', ['-tf', file])
  const names = stdout.trimEnd().split('\n')
  expect(names.slice(0, 6)).toEqual([
    'oci-layout',
    'berth-export.json',
    'berth-export.json.sig',
    'berth/1.ndjson',
    'berth/2.ndjson',
    'index.json',
  ])
  expect(names.slice(6)).toEqual(names.slice(6).toSorted())
  await run('tar', ['-xf', file, '-C', folder])
  const index = JSON.parse(readFileSync(path.join(folder, 'berth-export.json'), 'utf8'))
  expect(index).toMatchObject({
    formatVersion: 1,
    blobs: { count: 6, bytes: result.bytes },
    repositories: [{ name: 'team/app', version: { number: 1 } }, { name: 'team/web' }],
  })
  writeFileSync(path.join(folder, 'key.pem'), publicKey.export({ format: 'pem', type: 'spki' }))
  const verify = ['-verify', '-rawin', '-pubin', '-inkey', 'key.pem', '-sigfile', 'berth-export.json.sig']
  await run('openssl', ['pkeyutl', ...verify, '-in', 'berth-export.json'], { cwd: folder })

  for (const [name, digest] of [
    ['team/app:1', app.digest],
    ['team/web:latest', web.digest],
  ]) {
    const place = path.join(folder, `out-${name?.replace(/\W/g, '-')}`)
    await run('skopeo', ['--insecure-policy', 'copy', '-q', `oci-archive:${file}:${name}`, `dir:${place}`])
    expect(sha256(readFileSync(path.join(place, 'manifest.json')))).toBe(digest)
  }

  const again = await exported(stack, wanted)
  expect(again.archiveDigest).toBe(result.archiveDigest)
  const { body } = await stack.api('GET', `/exports/${again.exportId}`)
  expect(body).toMatchObject({ state: 'completed', signed: true, archiveDigest: result.archiveDigest })
})

test('any range of a download is what the whole has there, also of one in parts', async () => {
  await pushRandomImage(target(), 'team/large', '1', [9_000_000, 9_000_000])
  const chunkBytes = 16 << 20
  const { exportId, archiveBytes } = await exported(stack, {
    repositories: [{ name: 'team/large' }],
    to: toDownload,
    chunkBytes,
  })
  const whole = readFileSync(await save(stack, exportId, folder, 'large.tar'))
  const ends = [0, 1, 511, 512, 513, 5_000, 9_000_000, archiveBytes - 1_025, archiveBytes - 1]
  for (const start of ends)
    for (const length of [1, 700, 100_000]) {
      const end = Math.min(start + length, archiveBytes) - 1
      const answer = await download(exportId, '/download', `bytes=${start}-${end}`)
      expect(answer.status).toBe(206)
      expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end}/${archiveBytes}`)
      expect(Buffer.from(await answer.arrayBuffer()).equals(whole.subarray(start, end + 1))).toBe(true)
    }
  expect((await download(exportId, '/download', `bytes=${archiveBytes}-`)).status).toBe(416)
  const head = await fetch(`${stack.url}/api/v1/exports/${exportId}/download`, { method: 'HEAD', headers: headers() })
  expect([head.status, head.headers.get('content-length')]).toEqual([200, String(archiveBytes)])
  const stale = await fetch(`${stack.url}/api/v1/exports/${exportId}/download`, {
    headers: { ...headers(), range: 'bytes=5-9', 'if-range': '"sha256:other"' },
  })
  expect(stale.status).toBe(200)
  await stale.body?.cancel()

  const parts: Buffer[] = []
  for (const number of [0, 1]) {
    const answer = await download(exportId, `/parts/${number}`)
    expect(answer.status).toBe(200)
    parts.push(Buffer.from(await answer.arrayBuffer()))
    const name = /filename="(.*)"/.exec(answer.headers.get('content-disposition') ?? '')?.[1] ?? ''
    writeFileSync(path.join(folder, name), parts[number] ?? '')
  }
  expect(Buffer.concat(parts).equals(whole)).toBe(true)
  expect((await download(exportId, '/parts/2')).status).toBe(404)
  writeFileSync(path.join(folder, 'sums'), await (await download(exportId, '/checksums')).text())
  await run('sha256sum', ['--strict', '-c', 'sums'], { cwd: folder })

  // Whoever leaves in the middle is no fault of Berth's.
  const log = () => readFileSync(path.join(stack.home, 'berth.log'), 'utf8')
  const wholes = () =>
    log()
      .split('\n')
      .filter((line) => /"operation":"downloadExport","status":200/.test(line)).length
  const ended = wholes()
  const leaving = new AbortController()
  const left = await fetch(`${stack.url}/api/v1/exports/${exportId}/download`, {
    headers: headers(),
    signal: leaving.signal,
  })
  await left.body?.getReader().read()
  leaving.abort()
  await until('its end is logged', () => wholes() >= ended + 1)
  expect((await stack.api('DELETE', `/exports/${exportId}`)).status).toBe(204)
  expect((await download(exportId)).status).toBe(410)
  expect(log()).not.toContain('api request failed')
})

test('a delta carries what came since, and one of two exports is found by what it was', async () => {
  const old = await pushRandomImage(target(), 'team/delta', 'old', [500_000])
  const first = await exported(stack, { repositories: [{ name: 'team/delta' }], to: toDownload })
  const fresh = await pushRandomImage(target(), 'team/delta', 'new', [3_000])
  const since = { export: first.exportId }
  const delta = await exported(stack, { repositories: [{ name: 'team/delta', since }], to: toDownload })
  expect(delta.bytes).toBeLessThan(10_000)
  const byNumber = await exported(stack, {
    repositories: [{ name: 'team/delta', since: { version: 1 } }],
    to: toDownload,
  })
  expect(byNumber.archiveDigest).toBe(delta.archiveDigest)
  const place = path.join(folder, 'delta')
  await run('mkdir', [place])
  await run('tar', ['-xf', await save(stack, delta.exportId, folder, 'delta.tar'), '-C', place])
  const lines = readFileSync(path.join(place, 'berth/1.ndjson'), 'utf8').trimEnd().split('\n')
  const manifests = lines.map((line) => JSON.parse(line)).filter((line) => line.manifest)
  expect(manifests.toSorted((a, b) => Number(a.held ?? 0) - Number(b.held ?? 0))).toEqual([
    { manifest: fresh.digest, size: expect.any(Number) },
    { manifest: old.digest, size: expect.any(Number), held: true },
  ])
  const { manifests: tags } = JSON.parse(readFileSync(path.join(place, 'index.json'), 'utf8'))
  expect(tags).toEqual([])
  const index = JSON.parse(readFileSync(path.join(place, 'berth-export.json'), 'utf8'))
  expect(index.repositories[0]).toMatchObject({ since: { number: 1 }, version: { number: 2 } })
})

test('a bucket gets them under transfer/, which the collector leaves alone', async () => {
  await pushRandomImage(target(), 'team/bucket', '1', [20_000_000])
  const repositories = [{ name: 'team/bucket' }]
  const to = (name: string) => ({ kind: 'bucket', path: `feb/${name}` })
  const { archiveDigest } = await exported(stack, { repositories, to: to('all.tar') })
  await exported(stack, { repositories, to: to('parts'), chunkBytes: 16 << 20 })
  const { body: task } = await stack.api('POST', '/store/gc', { graceSeconds: 0 })
  await stack.waitForTask(task.id)
  const place = path.join(stack.home, 'blobs', 'transfer', 'feb')
  expect(sha256(readFileSync(path.join(place, 'all.tar')))).toBe(archiveDigest)
  await run('sha256sum', ['--strict', '-c', 'SHA256SUMS'], { cwd: path.join(place, 'parts') })
  expect(await stack.api('POST', '/exports', { repositories, to: to('all.tar') })).toMatchObject({ status: 409 })
})

test('a layer that lies elsewhere is told of, one of SHA-512 is carried, and both are imported', async () => {
  const bytes = Buffer.alloc(9_000, 'sha512')
  const long = `sha512:${createHash('sha512').update(bytes).digest('hex')}`
  const upload = new URL(await startUpload(target(), 'team/odd'))
  upload.searchParams.set('digest', long)
  await send(target(), 'PUT', upload.href, 201, { body: new Uint8Array(bytes) })
  const config = await pushBlob(target(), 'team/odd', Buffer.from('{"architecture":"amd64","os":"linux"}'))
  const layer = 'application/vnd.oci.image.layer'
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const elsewhere = sha256('elsewhere')
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [
      { mediaType: `${layer}.v1.tar`, digest: long, size: bytes.length },
      { mediaType: `${layer}.nondistributable.v1.tar`, digest: elsewhere, size: 5, urls: ['https://a.example/x'] },
    ],
  })
  await pushManifest(target(), 'team/odd', '1', text, mediaType)
  const to = { kind: 'directory', path: 'odd.tar' }
  await exported(stack, { repositories: [{ name: 'team/odd' }], to })
  const { stdout } = await run('tar', ['-xOf', path.join(stack.home, 'transfer/odd.tar'), 'berth/1.ndjson'])
  const blobs = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ blob }) => blob)
  expect(blobs).toContainEqual({ blob: elsewhere, size: 5, foreign: true })
  expect(blobs).toContainEqual({ blob: long, size: bytes.length })
  const { body } = await stack.api('POST', '/imports', { from: { kind: 'directory', path: 'odd.tar' } })
  const map = { 'team/odd': 'copied/odd' }
  const applied = await stack.api('POST', `/imports/${body.id}/apply`, { map })
  expect(await stack.waitForTask(applied.body.id)).toMatchObject({ state: 'completed', error: null })
  const pulled = await send(target(), 'GET', '/v2/copied/odd/manifests/1', 200, { headers: { accept: mediaType } })
  expect(await pulled.text()).toBe(text)
})

test('the images of the values of a Helm chart are named, and those that are not carried', async () => {
  await pushRandomImage(target(), 'mirror/library/redis', '7')
  const chartFolder = path.join(folder, 'app')
  mkdirSync(chartFolder)
  writeFileSync(path.join(chartFolder, 'Chart.yaml'), 'name: app\nappVersion: 1.2.3\n')
  writeFileSync(
    path.join(chartFolder, 'values.yaml'),
    'image: { registry: ghcr.io, repository: us/app }\ncache: { image: docker.io/library/redis:7 }\n',
  )
  const { stdout } = await run('tar', ['-czf', '-', '-C', folder, 'app'], { encoding: 'buffer' })
  const layer = await pushBlob(target(), 'team/chart', stdout)
  const config = await pushBlob(target(), 'team/chart', Buffer.from('{"name":"app"}'))
  const helm = 'application/vnd.cncf.helm'
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config: { mediaType: `${helm}.config.v1+json`, ...config },
    layers: [{ mediaType: `${helm}.chart.content.v1.tar+gzip`, ...layer }],
  })
  await pushManifest(target(), 'team/chart', '1.0.0', text, mediaType)
  const repositories = [{ name: 'team/chart' }, { name: 'mirror/library/redis' }]
  await exported(stack, { repositories, chartImages: true, to: { kind: 'directory', path: 'charts' } })
  const index = JSON.parse(readFileSync(path.join(stack.home, 'transfer/charts/berth-export.json'), 'utf8'))
  expect(index.chartImages).toEqual([
    {
      repository: 'team/chart',
      chart: sha256(text),
      images: [
        { reference: 'docker.io/library/redis:7', isCarried: true },
        { reference: 'ghcr.io/us/app:1.2.3', isCarried: false },
      ],
    },
  ])
})

test('a schedule exports again and again, each under its own name', async () => {
  await pushRandomImage(target(), 'team/nightly', '1')
  const parameters = { repositories: [{ name: 'team/nightly' }], to: { kind: 'directory' } }
  const schedule = { name: 'carry', cron: '@yearly', kind: 'export', parameters }
  await make(stack, '/schedules', schedule)
  for (const count of [1, 2]) {
    await until('it runs', async () => (await stack.api('POST', '/schedules/carry/run')).status === 202)
    await until('it is exported', async () => {
      const { items } = (await stack.api('GET', '/exports')).body
      const done = items.filter(({ state, to }: { state: string; to: { path: string | null } }) =>
        Boolean(state === 'completed' && to.path?.startsWith('export-')),
      )
      return done.length === count
    })
  }
})

test('a directory gets a layout, an archive or parts, and nothing beside them', async () => {
  const image = await pushRandomImage(target(), 'team/out', '1', [20_000_000])
  const repositories = [{ name: 'team/out' }]
  const to = (name: string) => ({ kind: 'directory', path: `jan/${name}` })
  await exported(stack, { repositories, to: to('layout') })
  const { archiveDigest } = await exported(stack, { repositories, to: to('all.tar') })
  await exported(stack, { repositories, to: to('parts'), chunkBytes: 16 << 20 })
  const place = path.join(stack.home, 'transfer', 'jan')
  expect(readdirSync(place).toSorted()).toEqual(['all.tar', 'layout', 'parts'])
  expect(sha256(readFileSync(path.join(place, 'all.tar')))).toBe(archiveDigest)
  expect(readdirSync(path.join(place, 'parts')).toSorted()).toEqual(['SHA256SUMS', 'parts.tar.000', 'parts.tar.001'])
  await run('sha256sum', ['--strict', '-c', 'SHA256SUMS'], { cwd: path.join(place, 'parts') })
  const { stdout } = await run('skopeo', ['inspect', '--raw', `oci:${path.join(place, 'layout')}:team/out:1`])
  expect(sha256(stdout)).toBe(image.digest)
  expect(await stack.api('POST', '/exports', { repositories, to: to('all.tar') })).toMatchObject({
    status: 409,
    body: { code: 'target_exists' },
  })
  for (const bad of ['../x', '/etc/x', 'a/../../x', '.hidden', 'a//b', 'jan/'])
    expect(await stack.api('POST', '/exports', { repositories, to: { kind: 'directory', path: bad } })).toMatchObject({
      status: 400,
      body: { field: 'to.path' },
    })
})
