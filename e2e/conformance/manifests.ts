import { randomBytes } from 'node:crypto'
import { expect, describe as group, test } from '@jest/globals'
import { type Ability, describe, digestOf, indexType, manifestType, pathOf, type Target, type Wire } from './wire.ts'

const configType = 'application/vnd.oci.image.config.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** Pushes a config and layers, and answers a manifest of them. */
export async function newManifest(
  wire: Wire,
  repository: string,
  more: Record<string, unknown> = {},
): Promise<Record<string, unknown>> {
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', nonce: randomBytes(8).toString('hex') }),
  )
  const layers = [randomBytes(256), randomBytes(256)]
  for (const bytes of [config, ...layers]) await wire.push(repository, bytes)
  return {
    schemaVersion: 2,
    mediaType: manifestType,
    config: describe(config, configType),
    layers: layers.map((layer) => describe(layer, layerType)),
    ...more,
  }
}

/** Manifests of every kind the specification knows (docs/protocol.md#conformance). */
export function manifestTests(wire: () => Wire, repository: string, supports: Target['supports']): void {
  const testIf = (ability: Ability) => (supports[ability] ? test : () => undefined)
  const expectServed = async (
    reference: string,
    { digest, bytes }: { digest: string; bytes: Buffer },
    type = manifestType,
  ) => {
    const headers = { accept: `${manifestType}, ${indexType}` }
    const head = await wire().send('HEAD', `/v2/${repository}/manifests/${reference}`, { headers })
    expect(head).toMatchObject({
      status: 200,
      headers: { 'content-type': type, 'content-length': String(bytes.length), 'docker-content-digest': digest },
    })
    const got = await wire().send('GET', `/v2/${repository}/manifests/${reference}`, { headers })
    expect(got.status).toBe(200)
    expect(got.headers['content-type']).toBe(type)
    expect(got.body.equals(bytes)).toBe(true)
  }

  test('image: by tag and by digest, byte for byte', async () => {
    const pushed = await wire().pushManifest(repository, await newManifest(wire(), repository), 'image')
    expect(pushed.reply).toMatchObject({ status: 201, headers: { 'docker-content-digest': pushed.digest } })
    expect(pathOf(pushed.reply.headers.location)).toBe(`/v2/${repository}/manifests/${pushed.digest}`)
    await expectServed('image', pushed)
    await expectServed(pushed.digest, pushed)
  })

  test('large-manifest: 3.9 MB of annotations', async () => {
    const annotations = Object.fromEntries(Array.from({ length: 390 }, (_, i) => [`key-${i}`, 'x'.repeat(10_000)]))
    const manifest = await newManifest(wire(), repository, { annotations })
    const pushed = await wire().pushManifest(repository, Buffer.from(JSON.stringify(manifest)), 'large')
    expect(pushed.reply.status).toBe(201)
    await expectServed('large', pushed)
  })

  test('index, nested index, empty index', async () => {
    const child = await wire().pushManifest(repository, await newManifest(wire(), repository))
    const index = {
      schemaVersion: 2,
      mediaType: indexType,
      manifests: [{ ...describe(child.bytes, manifestType), platform: { os: 'linux', architecture: 'amd64' } }],
    }
    const inner = await wire().pushManifest(repository, index, 'index', indexType)
    const nested = await wire().pushManifest(
      repository,
      { schemaVersion: 2, mediaType: indexType, manifests: [describe(inner.bytes, indexType)] },
      'nested',
      indexType,
    )
    const empty = await wire().pushManifest(
      repository,
      { schemaVersion: 2, mediaType: indexType, manifests: [] },
      'empty',
      indexType,
    )
    for (const [tag, pushed] of Object.entries({ index: inner, nested, empty })) {
      expect(pushed.reply.status).toBe(201)
      await expectServed(tag, pushed, indexType)
    }
  })

  group('a Docker manifest list, asked for by tag', () => {
    const listType = 'application/vnd.docker.distribution.manifest.list.v2+json'
    const singleType = 'application/vnd.docker.distribution.manifest.v2+json'
    const pushList = async (tag: string, platforms: object[]) => {
      const children = []
      for (const platform of platforms) {
        const manifest = await newManifest(wire(), repository, { mediaType: singleType })
        children.push({ ...(await wire().pushManifest(repository, manifest, undefined, singleType)), platform })
      }
      const manifests = children.map(({ bytes, platform }) => ({ ...describe(bytes, singleType), platform }))
      const list = { schemaVersion: 2, mediaType: listType, manifests }
      return { list: await wire().pushManifest(repository, list, tag, listType), children }
    }
    const ask = (method: string, reference: string, accept: string, more: Record<string, string> = {}) =>
      wire().send(method, `/v2/${repository}/manifests/${reference}`, { headers: { accept, ...more } })

    testIf('lists')('is resolved for clients that know single manifests only, by GET and HEAD', async () => {
      const amd64 = { os: 'linux', architecture: 'amd64' }
      const { list, children } = await pushList('list', [{ os: 'linux', architecture: 'arm64' }, amd64])
      const child = children[1]
      const headers = {
        'content-type': singleType,
        'docker-content-digest': child?.digest,
        etag: `"${child?.digest}"`,
        'content-length': String(child?.bytes.length),
        vary: 'accept',
      }
      for (const method of ['GET', 'HEAD'])
        expect(await ask(method, 'list', `${singleType}, ${listType};q=0`)).toMatchObject({ status: 200, headers })
      expect((await ask('GET', 'list', singleType)).body.equals(child?.bytes ?? Buffer.of())).toBe(true)
      const unchanged = await ask('GET', 'list', singleType, { 'if-none-match': `"${child?.digest}"` })
      expect(unchanged.status).toBe(304)
      for (const [reference, accept] of [
        ['list', `${singleType}, ${listType};q=0.5`],
        ['list', '*/*'],
        [list.digest, singleType],
      ] as const) {
        const reply = await ask('GET', reference, accept)
        expect(reply).toMatchObject({ status: 200, headers: { 'content-type': listType } })
        expect(reply.body.equals(list.bytes)).toBe(true)
      }
    })

    testIf('lists')('without an image for linux/amd64 is 404 to them', async () => {
      await pushList('arm', [{ os: 'linux', architecture: 'arm64' }])
      expect((await ask('HEAD', 'arm', singleType)).status).toBe(404)
      const reply = await ask('GET', 'arm', singleType)
      expect(JSON.parse(reply.body.toString()).errors[0].code).toBe('MANIFEST_UNKNOWN')
      expect((await ask('GET', 'arm', `${singleType}, ${listType}`)).status).toBe(200)
    })

    testIf('lists')('is no OCI index: that is given as it is', async () => {
      const child = await wire().pushManifest(repository, await newManifest(wire(), repository))
      const manifests = [{ ...describe(child.bytes, manifestType), platform: { os: 'linux', architecture: 'amd64' } }]
      const index = { schemaVersion: 2, mediaType: indexType, manifests }
      await wire().pushManifest(repository, index, 'oci-index', indexType)
      expect(await ask('GET', 'oci-index', manifestType)).toMatchObject({
        status: 200,
        headers: { 'content-type': indexType },
      })
    })
  })

  test('artifact, artifact without layers, custom fields, data field', async () => {
    const emptyConfig = Buffer.from('{}')
    await wire().push(repository, emptyConfig)
    const base = {
      schemaVersion: 2,
      mediaType: manifestType,
      artifactType: 'application/vnd.example',
      config: describe(emptyConfig, 'application/vnd.oci.empty.v1+json'),
    }
    const layer = randomBytes(64)
    await wire().push(repository, layer)
    const forms = {
      artifact: { ...base, layers: [describe(layer, 'application/vnd.example.layer')] },
      'no-layers': { ...base, layers: [] },
      custom: { ...base, layers: [], 'org.example': { deep: [1, 2, { three: true }] } },
      data: { ...base, config: { ...base.config, data: emptyConfig.toString('base64') }, layers: [] },
    }
    for (const [tag, form] of Object.entries(forms)) {
      const pushed = await wire().pushManifest(repository, form, tag)
      expect(pushed.reply.status).toBe(201)
      await expectServed(tag, pushed)
    }
  })

  testIf('foreignLayers')('non-distributable-layers need not be here', async () => {
    const manifest = await newManifest(wire(), repository)
    const foreign = {
      ...describe(randomBytes(64), 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'),
      urls: ['https://example.com/layer'],
    }
    const pushed = await wire().pushManifest(
      repository,
      { ...manifest, layers: [...(manifest.layers as object[]), foreign] },
      'foreign',
    )
    expect(pushed.reply.status).toBe(201)
  })

  test('bad-digest-image: other bytes than the digest says', async () => {
    const manifest = await newManifest(wire(), repository)
    const bytes = Buffer.from(JSON.stringify(manifest))
    const reply = await wire().send('PUT', `/v2/${repository}/manifests/${digestOf(bytes)}`, {
      headers: { 'content-type': manifestType },
      body: Buffer.concat([bytes, Buffer.from('  ')]),
    })
    expect(reply.status).toBe(400)
  })

  test('missing-manifest by-digest and by-tag', async () => {
    for (const reference of [digestOf(randomBytes(8)), 'never-pushed'])
      expect((await wire().send('GET', `/v2/${repository}/manifests/${reference}`)).status).toBe(404)
  })

  testIf('digestGrammar')('invalid-digest-format', async () => {
    const manifest = await newManifest(wire(), repository)
    expect((await wire().pushManifest(repository, manifest, 'sha256:baddigeststring')).reply.status).toBe(400)
    expect([400, 404]).toContain(
      (await wire().send('GET', `/v2/${repository}/manifests/sha256:baddigeststring`)).status,
    )
  })

  test('a manifest that names a blob that is not here is refused and its tag does not appear', async () => {
    const manifest = await newManifest(wire(), repository)
    const missing = describe(randomBytes(64), layerType)
    const { reply } = await wire().pushManifest(repository, { ...manifest, layers: [missing] }, 'dangling')
    expect([400, 404]).toContain(reply.status)
    expect((await wire().send('GET', `/v2/${repository}/manifests/dangling`)).status).toBe(404)
  })

  group('tags', () => {
    const listed = `${repository}-tags`
    const tags = ['1', '10', '2', 'A', 'Z', 'a', 'latest', 'z']
    const list = async (query: string) => wire().send('GET', `/v2/${listed}/tags/list${query}`)
    const fill = async () => {
      const manifest = await newManifest(wire(), listed)
      for (const tag of tags) await wire().pushManifest(listed, manifest, tag)
    }

    testIf('tagPages')('tag-list in byte order, by pages, after a name', async () => {
      await fill()
      expect(JSON.parse((await list('')).body.toString())).toEqual({ name: listed, tags })
      const page = await list('?n=3')
      expect(JSON.parse(page.body.toString()).tags).toEqual(tags.slice(0, 3))
      expect(page.headers.link).toMatch(/rel="next"/)
      const next = /<([^>]+)>/.exec(page.headers.link as string)?.[1]
      expect(JSON.parse((await wire().send('GET', pathOf(next))).body.toString()).tags).toEqual(tags.slice(3, 6))
      expect(JSON.parse((await list('?n=100&last=Z')).body.toString()).tags).toEqual(tags.slice(5))
    })

    test('empty/tag list', async () => {
      expect([200, 404]).toContain((await wire().send('GET', `/v2/${repository}-never/tags/list`)).status)
    })

    test('delete by tag and by digest is seen at once', async () => {
      const manifest = await newManifest(wire(), listed)
      const { digest } = await wire().pushManifest(listed, manifest, 'going')
      await wire().pushManifest(listed, manifest, 'gone-too')
      const byTag = await wire().send('DELETE', `/v2/${listed}/manifests/going`)
      if (byTag.status === 202) expect((await wire().send('HEAD', `/v2/${listed}/manifests/going`)).status).toBe(404)
      else expect([400, 404, 405]).toContain(byTag.status)
      expect((await wire().send('DELETE', `/v2/${listed}/manifests/${digest}`)).status).toBe(202)
      for (const reference of [digest, 'gone-too'])
        expect((await wire().send('HEAD', `/v2/${listed}/manifests/${reference}`)).status).toBe(404)
    })
  })
}
