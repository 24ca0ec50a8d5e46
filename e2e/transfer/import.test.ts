import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import path from 'node:path'
import { promisify } from 'node:util'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Berth, TaskView } from '../berth/berth.ts'
import { until } from '../berth/processes.ts'
import { pushBlob, pushEmptyImage, pushManifest, pushRandomImage, type Target } from '../berth/push.ts'
import { basic, repositoryPath, sha256 } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { dockerMissing, startDocker } from '../clients/docker.ts'
import { startPodman } from '../clients/podman.ts'
import { makeSchema1Key, schema1SignedType, schema1Text, signSchema1 } from '../schema1/schema1.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const run = promisify(execFile)
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const signingKey = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
const trustedKey = publicKey.export({ format: 'pem', type: 'spki' }).toString()
const first = withBerth({ own: true, env: { BERTH_EXPORT_SIGNING_KEY: signingKey } })
const second = withBerth({ own: true, env: { BERTH_IMPORT_TRUSTED_KEYS: trustedKey } })
const target = (stack: Berth): Target => ({ url: stack.url, authorization: basic(stack) })

let folder: string
beforeAll(() => {
  folder = makeTemporaryFolder('import')
})
afterAll(() => removeFolder(folder))

const oci = 'application/vnd.oci.image.manifest.v1+json'
const dockerType = 'application/vnd.docker.distribution.manifest.v2+json'
const ociIndex = 'application/vnd.oci.image.index.v1+json'
const emptyType = 'application/vnd.oci.empty.v1+json'

async function exportFrom(body: object): Promise<{ exportId: string; file: string; bytes: Buffer }> {
  const { body: asked } = await first.api('POST', '/exports', { to: { kind: 'download' }, ...body })
  const task = await first.waitForTask(asked.id)
  expect(task).toMatchObject({ state: 'completed' })
  const { exportId } = task.result
  const answer = await fetch(`${first.url}/api/v1/exports/${exportId}/download`, {
    headers: { authorization: basic(first) },
  })
  const bytes = Buffer.from(await answer.arrayBuffer())
  const file = path.join(folder, `${exportId}.tar`)
  writeFileSync(file, bytes)
  return { exportId, file, bytes }
}

async function send(place: string, bytes: Buffer, start?: number): Promise<Response> {
  const range: Record<string, string> =
    start === undefined ? {} : { 'content-range': `${start}-${start + bytes.length - 1}` }
  return fetch(`${second.url}${place}`, {
    method: 'PATCH',
    headers: { authorization: basic(second), 'content-type': 'application/octet-stream', ...range },
    body: new Uint8Array(bytes),
  })
}

/** Sends an archive to the second Berth in chunks, and answers the id of its import. */
async function upload(bytes: Buffer, chunkBytes = 1 << 20): Promise<string> {
  const { status, body } = await second.api('POST', '/imports', { from: { kind: 'upload' } })
  expect(status).toBe(201)
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    const answer = await send(body.upload, bytes.subarray(start, start + chunkBytes), start)
    expect(answer.status).toBe(202)
    expect(answer.headers.get('range')).toBe(`0-${Math.min(start + chunkBytes, bytes.length) - 1}`)
  }
  return body.id
}

async function apply(id: string, wishes: object = {}): Promise<TaskView> {
  const { status, body } = await second.api('POST', `/imports/${id}/apply`, wishes)
  expect({ status, body }).toMatchObject({ status: 202 })
  return second.waitForTask(body.id)
}

async function latest(stack: Berth, name: string) {
  const { body } = await stack.api('GET', `${repositoryPath(name)}/versions?limit=1`)
  const [version] = body.items
  return { contentHash: version.contentHash, counts: version.counts.present }
}

async function pull(stack: Berth, name: string, reference: string): Promise<{ digest: string; type: string | null }> {
  const answer = await fetch(`${stack.url}/v2/${name}/manifests/${reference}`, {
    headers: { authorization: basic(stack), accept: `${oci}, ${ociIndex}, ${dockerType}` },
  })
  return { digest: sha256(Buffer.from(await answer.arrayBuffer())), type: answer.headers.get('content-type') }
}

async function fillFirst(): Promise<{ image: string; index: string }> {
  const to = target(first)
  const children = []
  for (const architecture of ['amd64', 'arm64']) {
    const pushed = await pushRandomImage(to, 'team/app', `only-${architecture}`, [40_000, 3_000])
    children.push({
      mediaType: oci,
      digest: pushed.digest,
      size: pushed.text.length,
      platform: { os: 'linux', architecture },
    })
  }
  const list = JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: children })
  await pushManifest(to, 'team/app', '1.0', list, ociIndex)
  const index = sha256(list)
  // Signed as cosign does it, and with a referrer, which the version of the next tag has.
  const config = { mediaType: emptyType, ...(await pushBlob(to, 'team/app', Buffer.from('{}'))) }
  const payload = await pushBlob(to, 'team/app', Buffer.from(JSON.stringify({ critical: { image: index } })))
  const layer = {
    mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
    ...payload,
    annotations: { 'dev.cosignproject.cosign/signature': 'MEUC' },
  }
  const signature = { schemaVersion: 2, mediaType: oci, config, layers: [layer] }
  const subject = { mediaType: ociIndex, digest: index, size: list.length }
  const referrer = JSON.stringify({ ...signature, artifactType: 'application/spdx+json', subject })
  await pushManifest(to, 'team/app', sha256(referrer), referrer, oci)
  await pushManifest(to, 'team/app', `${index.replace(':', '-')}.sig`, JSON.stringify(signature), oci)
  const chart = {
    schemaVersion: 2,
    mediaType: oci,
    config: {
      mediaType: 'application/vnd.cncf.helm.config.v1+json',
      ...(await pushBlob(to, 'team/chart', Buffer.from('{"name":"chart","version":"0.1.0"}'))),
    },
    layers: [
      {
        mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
        ...(await pushBlob(to, 'team/chart', Buffer.alloc(5_000, 'chart'))),
      },
    ],
  }
  await pushManifest(to, 'team/chart', '0.1.0', JSON.stringify(chart), oci)
  const web = await pushRandomImage(to, 'team/web', 'latest', [70_000])
  // What only Berth's own index carries: an atomic signature, and the signed form of an old manifest.
  const atomic = { schemaVersion: 2, name: `${web.digest}@${'0'.repeat(32)}`, type: 'atomic', content: btoa('signed') }
  const put = await fetch(`${first.url}/extensions/v2/team/web/signatures/${web.digest}`, {
    method: 'PUT',
    headers: { authorization: basic(first) },
    body: JSON.stringify(atomic),
  })
  expect(put.status).toBe(201)
  const old = signSchema1(schema1Text('team/web', 'old', web.layers), makeSchema1Key('ES256'))
  await pushManifest(to, 'team/web', 'old', old, schema1SignedType)
  const { mediaType: _unsaid, ...open } = JSON.parse(web.text) as { mediaType: string }
  await pushManifest(to, 'team/web', 'typed', JSON.stringify(open), dockerType)
  return { image: web.digest, index }
}

const names = ['team/app', 'team/chart', 'team/web']

test('three repositories come into an empty Berth with every digest, and then a delta with what is new only', async () => {
  const { image, index } = await fillFirst()
  const whole = await exportFrom({ repositories: names.map((name) => ({ name })) })
  const id = await upload(whole.bytes, 100_000)
  const { body: plan } = await second.api('POST', `/imports/${id}/plan`, { requireSignature: true })
  expect(plan).toMatchObject({ kind: 'berth', signature: 'trusted', signatureRequired: true })
  expect(
    plan.repositories.map(({ target: name, action, conflict }: Record<string, unknown>) => [name, action, conflict]),
  ).toEqual(names.map((name) => [name, 'create', null]))
  expect((await second.api('GET', '/repositories')).body.items).toEqual([])
  const task = await apply(id, { requireSignature: true })
  expect(task).toMatchObject({ state: 'completed', error: null })
  for (const name of names) expect(await latest(second, name)).toEqual(await latest(first, name))
  for (const [name, reference] of [
    ['team/app', '1.0'],
    ['team/app', `${index.replace(':', '-')}.sig`],
    ['team/chart', '0.1.0'],
    ['team/web', 'latest'],
    ['team/web', 'typed'],
  ] as const)
    expect(await pull(second, name, reference)).toEqual(await pull(first, name, reference))
  const referrers = (stack: Berth) =>
    fetch(`${stack.url}/v2/team/app/referrers/${index}`, { headers: { authorization: basic(stack) } }).then((answer) =>
      answer.json(),
    )
  expect(await referrers(second)).toEqual(await referrers(first))
  const signatures = (stack: Berth) =>
    fetch(`${stack.url}/extensions/v2/team/web/signatures/${image}`, { headers: { authorization: basic(stack) } }).then(
      (answer) => answer.json(),
    )
  expect((await pull(second, 'team/web', 'typed')).type).toBe(dockerType)
  expect(await signatures(second)).toEqual(await signatures(first))
  expect(await signatures(second)).toMatchObject({ signatures: [{ type: 'atomic' }] })
  const old = (stack: Berth) =>
    fetch(`${stack.url}/v2/team/web/manifests/old`, {
      headers: { authorization: basic(stack), accept: schema1SignedType },
    }).then(async (answer) => [answer.headers.get('content-type'), await answer.text()])
  expect(await old(second)).toEqual(await old(first))
  const { body: versions } = await second.api('GET', `${repositoryPath('team/app')}/versions`)
  expect(versions.items[0]).toMatchObject({ number: 1, cause: 'import', createdBy: 'admin', task: task.id })
  // The same again is no change.
  expect((await apply(id)).result.repositories.map(({ created }: { created: boolean }) => created)).toEqual([
    false,
    false,
    false,
  ])

  await pushRandomImage(target(first), 'team/web', 'next', [30_000])
  const delta = await exportFrom({ repositories: names.map((name) => ({ name, since: { export: whole.exportId } })) })
  expect(delta.bytes.length).toBeLessThan(whole.bytes.length / 2)
  const brought = await apply(await upload(delta.bytes))
  expect(brought).toMatchObject({ state: 'completed', result: { blobs: { verified: 2, stored: 2 } } })
  expect(brought.result.blobs.storedBytes).toBeLessThan(32_000)
  for (const name of names) expect(await latest(second, name)).toEqual(await latest(first, name))
  expect(await pull(second, 'team/web', 'next')).toEqual(await pull(first, 'team/web', 'next'))
}, 120_000)

test('an upload goes on where it is, and refuses what does not fit there', async () => {
  const { body } = await second.api('POST', '/imports', { from: { kind: 'upload' } })
  await send(body.upload, Buffer.from('hello'))
  const wrong = await send(body.upload, Buffer.from('x'), 9)
  expect([wrong.status, wrong.headers.get('range'), wrong.headers.get('location')]).toEqual([416, '0-4', body.upload])
  const shown = await fetch(`${second.url}${body.upload}`, { headers: { authorization: basic(second) } })
  expect([shown.status, shown.headers.get('range'), shown.headers.get('upload-offset')]).toEqual([204, '0-4', '5'])
  expect((await second.api('POST', `/imports/${body.id}/plan`, {})).body).toMatchObject({
    status: 400,
    code: 'bad_archive',
    place: 'part 0 at 4',
  })
  expect((await second.api('DELETE', `/imports/${body.id}`)).status).toBe(204)
  expect((await second.api('GET', `/imports/${body.id}`)).status).toBe(404)
})

test('of a request that breaks off what came is kept, and nothing is an error in the log', async () => {
  const { body } = await second.api('POST', '/imports', { from: { kind: 'upload' } })
  const request = httpRequest(`${second.url}${body.upload}`, {
    method: 'PATCH',
    headers: { authorization: basic(second), 'content-type': 'application/octet-stream', 'content-length': 1_000_000 },
  })
  request.on('error', () => 'ended here')
  await new Promise((resolve) => void request.write(Buffer.alloc(300_000, 'x'), resolve))
  const part = async () =>
    Number(
      (await fetch(`${second.url}${body.upload}`, { headers: { authorization: basic(second) } })).headers.get(
        'upload-offset',
      ),
    )
  request.socket?.end()
  await until('the bytes that came are there', async () => (await part()) > 0, 20_000)
  expect(await part()).toBeLessThanOrEqual(300_000)
  expect(second.logs()).not.toMatch(/api request failed/)
})

test('an import is for who made it, and directories are for administrators', async () => {
  await second.api('POST', '/users', { name: 'bo', password: 'correct horse bo' })
  const as = (method: string, at: string, body?: object) =>
    fetch(`${second.url}/api/v1${at}`, {
      method,
      headers: { authorization: `Basic ${btoa('bo:correct horse bo')}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
  expect((await as('POST', '/imports', { from: { kind: 'upload' } })).status).toBe(403)
  const { body } = await second.api('POST', '/imports', { from: { kind: 'upload' } })
  for (const [method, at] of [
    ['GET', ''],
    ['DELETE', ''],
    ['POST', '/plan'],
    ['POST', '/apply'],
    ['POST', '/verify'],
    ['GET', '/parts/0'],
  ] as const)
    expect((await as(method, `/imports/${body.id}${at}`, method === 'POST' ? {} : undefined)).status).toBe(404)
  await second.api('POST', '/grants', { to: { user: 'bo' }, role: 'pusher', on: 'namespace:bo' })
  expect((await as('POST', '/imports', { from: { kind: 'upload' } })).status).toBe(201)
  expect((await as('POST', '/imports', { from: { kind: 'directory', path: 'x' } })).status).toBe(403)
  expect(await ((await as('GET', '/imports')).json() as Promise<{ items: unknown[] }>)).toMatchObject({
    items: [{ createdBy: 'bo' }],
  })

  // Somebody with more rights who tries its task again lends it none, and it may cancel that itself.
  await pushEmptyImage(target(first), 'bo/app', '1')
  const { bytes: archive } = await exportFrom({ repositories: [{ name: 'bo/app' }] })
  const own = (await (await as('POST', '/imports', { from: { kind: 'upload' } })).json()) as {
    id: string
    upload: string
  }
  const sent = await fetch(`${second.url}${own.upload}`, {
    method: 'PATCH',
    headers: { authorization: `Basic ${btoa('bo:correct horse bo')}`, 'content-type': 'application/octet-stream' },
    body: new Uint8Array(archive),
  })
  expect(sent.status).toBe(202)
  const wishes = { map: { 'bo/app': 'others/app' } }
  const asked = (await (await as('POST', `/imports/${own.id}/apply`, wishes)).json()) as { id: string }
  expect(await second.waitForTask(asked.id)).toMatchObject({ error: { code: 'not_allowed' } })
  const retried = (await second.api('POST', `/tasks/${asked.id}/retry`, {})).body
  expect(await second.waitForTask(retried.id)).toMatchObject({ error: { code: 'not_allowed' } })
  expect((await second.api('GET', '/repositories/others%2Fapp')).status).toBe(404)
  expect((await as('POST', `/tasks/${asked.id}/cancel`)).status).toBe(409)
})

test('what lies in the directory for transfers is imported at once, and again only where it is new', async () => {
  const pushed = await pushRandomImage(target(first), 'lying/app', '1', [9_000])
  const { bytes } = await exportFrom({ repositories: [{ name: 'lying/app' }] })
  mkdirSync(path.join(second.home, 'transfer'), { recursive: true })
  writeFileSync(path.join(second.home, 'transfer', 'nightly.tar'), bytes)
  const wanted = { from: { kind: 'directory', path: 'nightly.tar' }, apply: { map: { 'lying/*': 'nightly/*' } } }
  for (const created of [true, false]) {
    const { status, body } = await second.api('POST', '/imports', wanted)
    expect({ status, body }).toMatchObject({ status: 202 })
    const task = await second.waitForTask(body.id)
    expect(task).toMatchObject({ state: 'completed', result: { repositories: [{ version: 1, created }] } })
  }
  expect((await pull(second, 'nightly/app', '1')).digest).toBe(pushed.digest)
  const schedule = { name: 'nightly-import', cron: '@daily', kind: 'import', parameters: wanted }
  expect((await second.api('POST', '/schedules', schedule)).status).toBe(201)
})

const missing = missingPrograms('skopeo', 'podman')
const group = missing.length > 0 ? describe.skip : describe

group(`archives of other tools${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`, () => {
  const bring = async (file: string, wishes: object) => {
    const id = await upload(readFileSync(file))
    return { plan: (await second.api('POST', `/imports/${id}/plan`, wishes)).body, task: await apply(id, wishes) }
  }
  const skopeo = async (...args: string[]) =>
    (await run('skopeo', ['--insecure-policy', ...args], { maxBuffer: 1 << 24 })).stdout
  const from = (tag: string) => [
    '--src-tls-verify=false',
    '--src-creds',
    `admin:${first.password}`,
    `docker://${first.host}/${tag}`,
  ]

  test('an oci-archive of skopeo has the digests that it had, and a docker-archive others, and both say so', async () => {
    await pushEmptyImage(target(first), 'tools/app', '1')
    const archive = path.join(folder, 'oci.tar')
    await skopeo('copy', '-q', ...from('tools/app:1'), `oci-archive:${archive}:tools/app:1`)
    // skopeo may have compressed its layers.
    const source = sha256(await skopeo('inspect', '--raw', `oci-archive:${archive}:tools/app:1`))
    const asOci = await bring(archive, { map: { 'tools/*': 'from-oci/*' } })
    expect(asOci.plan).toMatchObject({ kind: 'oci-archive', origin: null, signature: 'unsigned', notes: [] })
    expect(asOci.task).toMatchObject({ state: 'completed' })
    expect((await pull(second, 'from-oci/app', '1')).digest).toBe(source)

    const docker = path.join(folder, 'docker.tar')
    await skopeo('copy', '-q', ...from('tools/app:1'), `docker-archive:${docker}:tools/app:1`)
    writeFileSync(`${docker}.gz`, gzipSync(readFileSync(docker)))
    writeFileSync(`${docker}.zst`, zstdCompressSync(readFileSync(docker)))
    for (const [at, file] of [docker, `${docker}.gz`, `${docker}.zst`].entries()) {
      const { plan, task } = await bring(file, { map: { 'tools/*': `from-docker-${at}/*` } })
      expect(plan).toMatchObject({ kind: 'docker-archive', notes: [expect.stringContaining('other digests')] })
      expect(task).toMatchObject({ state: 'completed', result: { notes: [expect.stringContaining('other digests')] } })
      const made = await pull(second, `from-docker-${at}/app`, '1')
      expect(made.type).toBe(oci)
      expect(made.digest).not.toBe(source)
      await skopeo(
        'copy',
        '-q',
        '--src-tls-verify=false',
        '--src-creds',
        `admin:${second.password}`,
        `docker://${second.host}/from-docker-${at}/app:1`,
        `dir:${folder}/out-${at}`,
      )
    }
  }, 60_000)

  test('archives that podman saves import, in either format', async () => {
    const podman = await startPodman()
    try {
      await podman.login(first.host, { user: 'admin', password: first.password })
      const reference = `${first.host}/tools/app:1`
      await podman.pull(reference)
      for (const format of ['oci-archive', 'docker-archive']) {
        const file = path.join(folder, `podman-${format}.tar`)
        await podman.save(reference, file, format)
        const { plan, task } = await bring(file, { map: { 'tools/*': `podman-${format}/*` } })
        expect(plan).toMatchObject({ kind: format })
        expect(task).toMatchObject({ state: 'completed' })
        expect((await pull(second, `podman-${format}/app`, '1')).type).toBe(oci)
      }
    } finally {
      await podman.stop()
    }
  }, 60_000)

  const why = dockerMissing()
  const withDocker = why ? test.skip : test
  withDocker(
    `an archive that docker saves imports${why ? ` (skipped: ${why})` : ''}`,
    async () => {
      const docker = await startDocker(JSON.stringify({ 'insecure-registries': [first.host] }))
      try {
        await pushEmptyImage(target(first), 'tools/app', '1')
        await docker.login(first.host, { user: 'admin', password: first.password })
        const reference = `${first.host}/tools/app:1`
        await docker.pull(reference)
        const file = path.join(folder, 'docker-save.tar')
        await run('docker', ['save', '--output', file, reference], { env: { ...process.env, ...docker.env } })
        const { plan, task } = await bring(file, { map: { 'tools/*': 'docker-save/*' } })
        expect(plan).toMatchObject({ kind: 'docker-archive' })
        expect(task).toMatchObject({ state: 'completed' })
        expect((await pull(second, 'docker-save/app', '1')).type).toBe(oci)
      } finally {
        await docker.stop()
      }
    },
    60_000,
  )
})
