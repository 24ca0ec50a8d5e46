import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { sha256 } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { runner } from '../clients/client.ts'
import { berthTarget } from '../conformance/berth.ts'
import { describe as described, type Reply, Wire } from '../conformance/wire.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { schema1SignedType, schema1Type } from './schema1.ts'

const name = 'team/new'
const docker = 'application/vnd.docker'
const schema2Type = `${docker}.distribution.manifest.v2+json`
const listType = `${docker}.distribution.manifest.list.v2+json`
const old = `${schema1SignedType}, ${schema1Type}, application/json`
const emptyLayer = 'sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4'

const history = [
  { created: '2020-01-01T00:00:00Z', created_by: 'ADD files', author: 'me' },
  { created: '2020-01-02T00:00:00Z', created_by: 'ENV a=b', empty_layer: true },
  { created: '2020-01-03T00:00:00Z', created_by: 'RUN make' },
  { created: '2020-01-04T00:00:00Z', created_by: 'CMD ["/x"]', empty_layer: true },
]

describe('images for clients that know schema 1 only', () => {
  const stack = withBerth({ own: true })
  let wire: Wire
  let layers: string[]
  const config = (more: object = {}) => ({
    architecture: 'amd64',
    os: 'linux',
    created: '2020-01-04T00:00:00Z',
    config: { Cmd: ['/x'], Env: ['a=b'] },
    rootfs: { type: 'layers', diff_ids: [sha256('a'), sha256('b')] },
    history,
    ...more,
  })
  const pushImage = async (tag: string | undefined, settings: object, more: object = {}, type = schema2Type) => {
    const bytes = Buffer.from(JSON.stringify(settings))
    await wire.push(name, bytes)
    const oci = type.includes('oci')
    const configType = oci ? 'application/vnd.oci.image.config.v1+json' : `${docker}.container.image.v1+json`
    const layerType = oci ? 'application/vnd.oci.image.layer.v1.tar+gzip' : `${docker}.image.rootfs.diff.tar.gzip`
    return wire.pushManifest(
      name,
      {
        schemaVersion: 2,
        mediaType: type,
        config: described(bytes, configType),
        layers: layers.map((digest) => ({ mediaType: layerType, size: 100, digest })),
        ...more,
      },
      tag,
      type,
    )
  }
  const ask = (tag: string, accept = old, method = 'GET', more: Record<string, string> = {}): Promise<Reply> =>
    wire.send(method, `/v2/${name}/manifests/${tag}`, { headers: { accept, ...more } })
  const convert = async (convertToSchema1: boolean) => {
    const { status, body } = await stack.api('PATCH', '/distributions/team%2Fnew', { convertToSchema1 })
    expect({ status, body }).toMatchObject({ status: 200, body: { convertToSchema1 } })
  }

  beforeAll(async () => {
    wire = new Wire(berthTarget(stack))
    layers = []
    for (let i = 0; i < 2; i++) layers.push(await wire.push(name, gzipSync(randomBytes(100))))
    await pushImage('latest', config())
    await convert(true)
  }, 60_000)
  afterAll(async () => {
    wire?.close()
  }, 30_000)

  /** What is signed, checked as an old client does: the signature by its own key, the digest of what it is over. */
  const verified = (reply: Reply) => {
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': schema1SignedType, vary: 'accept' } })
    const text = reply.body.toString()
    const { signatures, ...manifest } = JSON.parse(text)
    const [{ header, signature, protected: covered }] = signatures
    const { formatLength, formatTail } = JSON.parse(Buffer.from(covered, 'base64url').toString())
    const payload = reply.body.subarray(0, formatLength) + Buffer.from(formatTail, 'base64url').toString()
    expect(JSON.parse(payload)).toEqual(manifest)
    const key = createPublicKey({ key: header.jwk, format: 'jwk' })
    const input = Buffer.from(`${covered}.${Buffer.from(payload).toString('base64url')}`)
    expect(header.alg).toBe('ES256')
    const isGenuine = verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))
    expect(isGenuine).toBe(true)
    expect(reply.headers['docker-content-digest']).toBe(sha256(payload))
    return { manifest, jwk: header.jwk, images: manifest.history.map(imageOf) }
  }
  const imageOf = ({ v1Compatibility }: { v1Compatibility: string }) => JSON.parse(v1Compatibility)

  test('have their layers newest first, with an empty one for each step that changed no file', async () => {
    const { manifest, images } = verified(await ask('latest'))
    expect(manifest).toMatchObject({ schemaVersion: 1, name, tag: 'latest', architecture: 'amd64' })
    const sums = manifest.fsLayers.map(({ blobSum }: { blobSum: string }) => blobSum)
    expect(sums).toEqual([emptyLayer, layers[1], emptyLayer, layers[0]])
    expect(images.map((image: { throwaway?: boolean }) => image.throwaway ?? false)).toEqual([true, false, true, false])
    for (const [i, image] of images.entries()) {
      expect(image.id).toMatch(/^[0-9a-f]{64}$/)
      expect(image.parent).toBe(images[i + 1]?.id)
    }
    expect(images[0]).toMatchObject({ os: 'linux', config: { Cmd: ['/x'], Env: ['a=b'] } })
    expect(images[0]).not.toHaveProperty('rootfs')
    expect(images[0]).not.toHaveProperty('history')
    expect(images[1].container_config.Cmd).toEqual(['RUN make'])
    expect(images[3]).toMatchObject({ author: 'me', created: '2020-01-01T00:00:00Z' })
    for (const sum of sums) {
      const { status, body } = await wire.send('GET', `/v2/${name}/blobs/${sum}`)
      expect(status).toBe(200)
      expect(sha256(body)).toBe(sum)
      gunzipSync(body)
    }
  })

  test('the empty layer can be pulled though nobody pushed it; who may push is asked for it', async () => {
    await stack.api('PATCH', '/distributions/team%2Fnew', { access: 'public' })
    const anonymous = await fetch(`${stack.url}/v2/${name}/blobs/${emptyLayer}`, { method: 'HEAD' })
    expect(anonymous.status).toBe(200)
    expect(anonymous.headers.get('content-length')).toBe('32')
    expect((await wire.send('HEAD', `/v2/${name}/blobs/${emptyLayer}`)).status).toBe(404)
  })

  test('are the same at HEAD, at a second GET and after a restart, and have an ETag', async () => {
    const first = await ask('latest')
    expect((await ask('latest')).body.equals(first.body)).toBe(true)
    const { headers } = await ask('latest', old, 'HEAD')
    expect(headers).toMatchObject({
      'content-length': String(first.body.length),
      'docker-content-digest': first.headers['docker-content-digest'],
    })
    expect((await ask('latest', old, 'GET', { 'if-none-match': first.headers.etag ?? '' })).status).toBe(304)
    await stack.restart()
    wire.close()
    wire = new Wire({ ...wire.target, url: stack.url })
    const again = await ask('latest')
    expect(verified(again).jwk).toEqual(verified(first).jwk)
    expect(again.headers['docker-content-digest']).toBe(first.headers['docker-content-digest'])
  }, 60_000)

  test('are made of OCI images too, and of what an index has for linux/amd64', async () => {
    const type = 'application/vnd.oci.image.manifest.v1+json'
    await pushImage('oci', config(), {}, type)
    expect(verified(await ask('oci')).manifest).toMatchObject({ tag: 'oci' })
    const indexes = [
      ['list', schema2Type, listType],
      ['index', type, 'application/vnd.oci.image.index.v1+json'],
    ]
    for (const [tag = '', childType = '', indexType = ''] of indexes) {
      const child = await pushImage(undefined, config({ comment: tag }), {}, childType)
      const platform = { os: 'linux', architecture: 'amd64' }
      const manifests = [{ ...described(child.bytes, childType), platform }]
      await wire.pushManifest(name, { schemaVersion: 2, mediaType: indexType, manifests }, tag, indexType)
      expect(verified(await ask(tag)).images[0].comment).toBe(tag)
    }
  })

  test('without history there is one step for each layer', async () => {
    await pushImage('bare', config({ history: undefined }))
    const { manifest, images } = verified(await ask('bare'))
    expect(manifest.fsLayers).toEqual([{ blobSum: layers[1] }, { blobSum: layers[0] }])
    expect(images).toHaveLength(2)
  })

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ['whose history has too few steps', () => pushImage('bad', config({ history: history.slice(1) })), /history/],
    [
      'with a layer of zstd',
      () =>
        pushImage('bad', config(), {
          layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd', size: 1, digest: layers[0] }],
        }),
      /zstd/,
    ],
    [
      'that is none',
      () =>
        pushImage('bad', config(), {
          config: { mediaType: 'application/vnd.example', size: 1, digest: layers[0] },
        }),
      /not a container image/,
    ],
    [
      'whose configuration is no JSON',
      () =>
        pushImage('bad', config(), {
          config: { mediaType: `${docker}.container.image.v1+json`, size: 1, digest: layers[0] },
        }),
      /JSON/,
    ],
  ])('an image %s is 404, with the reason', async (_name, push, reason) => {
    await push()
    const reply = await ask('bad')
    expect(reply.status).toBe(404)
    const [error] = JSON.parse(reply.body.toString()).errors
    expect(error.code).toBe('MANIFEST_UNKNOWN')
    expect(error.message).toMatch(reason)
    expect((await ask('bad', schema2Type)).status).toBe(200)
  })

  test('are given to nobody else, and never by digest', async () => {
    const stored = await wire.send('GET', `/v2/${name}/manifests/latest`)
    expect(stored.headers['content-type']).toBe(schema2Type)
    for (const accept of ['*/*', `${old}, ${schema2Type}`, `${old};q=0.5, application/*;q=0.1`])
      expect((await ask('latest', accept)).headers['content-type']).toBe(schema2Type)
    expect((await ask(stored.headers['docker-content-digest'] as string)).body.equals(stored.body)).toBe(true)
    const made = (await ask('latest')).headers['docker-content-digest'] as string
    expect((await ask(made)).status).toBe(404)
  })

  test('without the option they are told what to do', async () => {
    await convert(false)
    try {
      expect((await ask('latest', old, 'HEAD')).status).toBe(404)
      const reply = await ask('latest')
      expect(reply.status).toBe(404)
      const [error] = JSON.parse(reply.body.toString()).errors
      expect(error).toMatchObject({ code: 'MANIFEST_UNKNOWN' })
      expect(error.message).toMatch(/newer client.*convertToSchema1/)
      expect((await wire.send('GET', `/v2/${name}/blobs/${emptyLayer}`)).status).toBe(404)
    } finally {
      await convert(true)
    }
  })

  const testSkopeo = missingPrograms('skopeo').length === 0 ? test : test.skip
  testSkopeo('have for skopeo the digest that they have here', async () => {
    const folder = makeTemporaryFolder('converted')
    try {
      const { body, headers } = await ask('latest')
      writeFileSync(path.join(folder, 'manifest.json'), body)
      const digest = await runner('skopeo', [])(['manifest-digest', path.join(folder, 'manifest.json')])
      expect(digest).toBe(headers['docker-content-digest'])
    } finally {
      removeFolder(folder)
    }
  })

  test('names of keys are those that docker makes of them', async () => {
    const { jwk } = verified(await ask('latest'))
    const der = createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'der', type: 'spki' })
    const bits = BigInt(`0x${createHash('sha256').update(der).digest('hex').slice(0, 60)}`)
    const value = (letter: string) => BigInt('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter))
    const read = [...jwk.kid.replaceAll(':', '')].reduce((sum, letter) => sum * 32n + value(letter), 0n)
    expect(read).toBe(bits)
    expect(jwk.kid).toMatch(/^(?:[A-Z2-7]{4}:){11}[A-Z2-7]{4}$/)
  })
})
