import { randomBytes } from 'node:crypto'
import { cpSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { basic, localRemote, make, repositoryPath, sha256, sync, versionNumbers } from '../berth/requests.ts'
import { startTestStack } from '../berth/stack.ts'
import { withBerth } from '../berth/with-berth.ts'
import { runner } from '../clients/client.ts'
import { berthTarget, everything } from '../conformance/berth.ts'
import { type Reply, Wire } from '../conformance/wire.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { writeDockerImage } from './docker-image.ts'
import { makeSchema1Key, schema1SignedType, schema1Text, schema1Type, signSchema1 } from './schema1.ts'

const name = 'old/app'
const key = makeSchema1Key('ES256')

describe('manifests of schema 1', () => {
  const stack = withBerth()
  let wire: Wire
  let layers: string[]
  beforeAll(async () => {
    wire = new Wire(berthTarget(stack))
    layers = [await wire.push(name, randomBytes(100)), await wire.push(name, randomBytes(100))]
  }, 60_000)
  afterAll(async () => {
    wire?.close()
  }, 30_000)

  const put = (text: string, reference: string, type = schema1SignedType): Promise<Reply> =>
    wire.send('PUT', `/v2/${name}/manifests/${reference}`, {
      headers: { 'content-type': type },
      body: Buffer.from(text),
    })
  const get = (reference: string, method = 'GET') => wire.send(method, `/v2/${name}/manifests/${reference}`)
  const refusal = (reply: Reply) => ({ status: reply.status, ...JSON.parse(reply.body.toString()).errors[0] })
  const expectServed = async (reference: string, text: string, digest: string, type = schema1SignedType) => {
    const headers = { 'content-type': type, 'docker-content-digest': digest, etag: `"${digest}"` }
    const got = await get(reference)
    expect(got).toMatchObject({ status: 200, headers })
    expect(got.body.toString()).toBe(text)
    const length = String(Buffer.byteLength(text))
    expect(await get(reference, 'HEAD')).toMatchObject({
      status: 200,
      headers: { ...headers, 'content-length': length },
    })
  }

  test('signed ones come back byte for byte, under the digest of what is signed', async () => {
    for (const algorithm of ['ES256', 'RS256'] as const) {
      const text = schema1Text(name, algorithm, [...layers, layers[0] ?? ''], { note: 'ümläut' })
      const signed = signSchema1(text, makeSchema1Key(algorithm), key)
      const reply = await put(signed, algorithm)
      expect(reply).toMatchObject({ status: 201, headers: { 'docker-content-digest': sha256(text) } })
      expect(reply.headers.location).toBe(`/v2/${name}/manifests/${sha256(text)}`)
      for (const reference of [algorithm, sha256(text)]) await expectServed(reference, signed, sha256(text))
      // A manifest is no blob; the bytes as pushed are one, under their own digest.
      expect((await wire.send('GET', `/v2/${name}/blobs/${sha256(text)}`)).status).toBe(404)
      expect((await wire.send('GET', `/v2/${name}/blobs/${sha256(signed)}`)).body.toString()).toBe(signed)
    }
  })

  test('unsigned ones come back byte for byte, under the digest of their bytes', async () => {
    const text = schema1Text(name, 'plain', layers)
    expect((await put(text, 'plain', schema1Type)).headers['docker-content-digest']).toBe(sha256(text))
    for (const reference of ['plain', sha256(text)]) await expectServed(reference, text, sha256(text), schema1Type)
  })

  test('a push by digest must name the digest of what is signed', async () => {
    const text = schema1Text(name, '', layers)
    const signed = signSchema1(text, key)
    expect(refusal(await put(signed, sha256(signed)))).toMatchObject({ status: 400, code: 'DIGEST_INVALID' })
    expect((await put(signed, sha256(text))).status).toBe(201)
    await expectServed(sha256(text), signed, sha256(text))
  })

  test('they are versions like all others: deleted, and brought back by a rollback', async () => {
    const text = schema1Text(name, 'kept', layers)
    const signed = signSchema1(text, key)
    await put(signed, 'kept')
    const [version] = await versionNumbers(stack, name)
    expect((await wire.send('DELETE', `/v2/${name}/manifests/${sha256(text)}`)).status).toBe(202)
    for (const place of [`manifests/kept`, `manifests/${sha256(text)}`, `blobs/${sha256(signed)}`])
      expect((await wire.send('GET', `/v2/${name}/${place}`)).status).toBe(404)
    expect((await stack.api('POST', `${repositoryPath(name)}/rollback`, { version })).status).toBe(201)
    await expectServed('kept', signed, sha256(text))
  })

  const place = (repository: string) =>
    make(stack, '/repositories', { name: repository }).then(() =>
      make(stack, '/distributions', { name: repository, basePath: repository, repository }),
    )
  const expectMoved = async (repository: string, text: string, signed: string, blobs: readonly string[]) => {
    const got = await wire.send('GET', `/v2/${repository}/manifests/moved`)
    expect(got.body.toString()).toBe(signed)
    expect(got.headers).toMatchObject({ 'content-type': schema1SignedType, 'docker-content-digest': sha256(text) })
    for (const blob of blobs) expect((await wire.send('HEAD', `/v2/${repository}/blobs/${blob}`)).status).toBe(200)
  }

  test('they are copied into other repositories as they are', async () => {
    const text = schema1Text(name, 'moved', layers)
    const signed = signSchema1(text, key)
    await put(signed, 'moved')
    await place('old/copied')
    const wanted = { from: { repository: name }, tags: ['moved'] }
    const { body } = await stack.api('POST', `${repositoryPath('old/copied')}/copy`, wanted)
    expect(body).toMatchObject({ counts: { present: { tags: 1, manifests: 1, blobs: 3 } } })
    await expectMoved('old/copied', text, signed, layers)
  })

  test('they are synced from other registries as they are', async () => {
    const upstream = await startTestStack()
    const headers = { authorization: basic(upstream) }
    const there = new Wire({ name: 'upstream', url: upstream.url, headers, supports: everything })
    try {
      const blobs = [await there.push('a/b', randomBytes(100)), await there.push('a/b', randomBytes(100))]
      const text = schema1Text('a/b', 'moved', blobs)
      const signed = signSchema1(text, key)
      await there.pushManifest('a/b', Buffer.from(signed), 'moved', schema1SignedType)
      await there.pushManifest('a/b', Buffer.from(schema1Text('a/b', 'plain', blobs)), 'plain', schema1Type)
      const login = { username: upstream.user, password: upstream.password }
      await make(stack, '/remotes', localRemote('upstream', upstream.url, 'a/b', login))
      await place('old/synced')
      for (let times = 0; times < 2; times++) await sync(stack, 'old/synced', 'upstream')
      expect(await versionNumbers(stack, 'old/synced')).toEqual([1, 0])
      await expectMoved('old/synced', text, signed, blobs)
      const plain = await wire.send('GET', '/v2/old/synced/manifests/plain')
      expect(plain).toMatchObject({ status: 200, headers: { 'content-type': schema1Type } })
    } finally {
      there.close()
      await upstream.stop()
    }
  }, 60_000)

  test('pushed again with other signatures, a manifest keeps its first ones', async () => {
    const text = schema1Text(name, 'again', layers)
    const first = signSchema1(text, key)
    await put(first, 'again')
    const before = await versionNumbers(stack, name)
    expect((await put(signSchema1(text, makeSchema1Key('ES256')), 'again')).status).toBe(201)
    await expectServed('again', first, sha256(text))
    expect(await versionNumbers(stack, name)).toEqual(before)
  })

  test('a layer that is not in the repository is named', async () => {
    const missing = sha256('nowhere')
    const reply = await put(signSchema1(schema1Text(name, 'missing', [missing]), key), 'missing')
    expect(refusal(reply)).toMatchObject({ status: 400, code: 'MANIFEST_BLOB_UNKNOWN', detail: { missing: [missing] } })
  })

  const text = () => schema1Text(name, 'bad', layers)
  test.each<[string, () => string, string]>([
    ['changed after it was signed', () => signSchema1(text(), key).replace('amd64', 'arm64'), 'MANIFEST_UNVERIFIED'],
    [
      'signed by another key than it names',
      () => signSchema1(text(), { ...key, jwk: makeSchema1Key('ES256').jwk }),
      'MANIFEST_UNVERIFIED',
    ],
    [
      'signed without any algorithm',
      () => signSchema1(text(), key).replace('"ES256"', '"none"'),
      'MANIFEST_UNVERIFIED',
    ],
    [
      'given a field that is not signed',
      () => signSchema1(text(), key).replace(',\n   "signatures"', ',"fsLayers2":[],"signatures"'),
      'MANIFEST_INVALID',
    ],
    ['not signed at all', text, 'MANIFEST_INVALID'],
    ['signed as nothing', () => signSchema1(text()), 'MANIFEST_INVALID'],
    ['without history', () => signSchema1(schema1Text(name, 'bad', layers, { history: [] }), key), 'MANIFEST_INVALID'],
    ['without a name', () => signSchema1(schema1Text('', 'bad', layers), key), 'MANIFEST_INVALID'],
    ['of schema 2', () => signSchema1(schema1Text(name, 'bad', layers, { schemaVersion: 2 }), key), 'MANIFEST_INVALID'],
    ['with 17 signatures', () => signSchema1(text(), ...Array.from({ length: 17 }, () => key)), 'MANIFEST_INVALID'],
  ])('one %s is refused', async (_name, make, code) => {
    expect(refusal(await put(make(), 'bad'))).toMatchObject({ status: 400, code })
    expect((await get('bad')).status).toBe(404)
  })

  const testSkopeo = missingPrograms('skopeo').length === 0 ? test : test.skip
  testSkopeo('skopeo copies an image in as schema 1 and out again', async () => {
    const folder = makeTemporaryFolder('schema1')
    try {
      const at = (...names: string[]) => path.join(folder, ...names)
      writeDockerImage(at('image'))
      const skopeo = runner('skopeo', ['--insecure-policy'], { TMPDIR: folder })
      const creds = `${stack.user}:${stack.password}`
      const reference = `docker://${stack.host}/old/skopeo:1`
      const to = ['--dest-tls-verify=false', '--dest-creds', creds]
      await skopeo(['copy', '--quiet', '--format', 'v2s1', ...to, `dir:${at('image')}`, reference])
      await skopeo(['copy', '--quiet', '--src-tls-verify=false', '--src-creds', creds, reference, `dir:${at('out')}`])
      const out = readFileSync(at('out', 'manifest.json'), 'utf8')
      const raw = await skopeo(['inspect', '--raw', '--tls-verify=false', '--creds', creds, reference])
      expect(raw).toBe(out)
      expect(JSON.parse(out)).toMatchObject({ schemaVersion: 1, name: 'old/skopeo', tag: '1', signatures: [{}] })
      const digest = await skopeo(['manifest-digest', at('out', 'manifest.json')])
      const served = await wire.send('HEAD', '/v2/old/skopeo/manifests/1')
      expect(served.headers).toMatchObject({ 'content-type': schema1SignedType, 'docker-content-digest': digest })
      await skopeo(['inspect', '--tls-verify=false', '--creds', creds, `docker://${stack.host}/old/skopeo@${digest}`])
      cpSync(at('out'), at('again'), { recursive: true })
      await skopeo(['copy', '--quiet', '--preserve-digests', ...to, `dir:${at('again')}`, reference])
    } finally {
      removeFolder(folder)
    }
  })
})
