import { mediaTypes } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { cut, type Fault, imageOf, manifestOf, startMisbehavingUpstream, status } from './misbehaving-upstream/index.ts'
import { failure, repository, type Scene, startScene } from './testing/client.fixture.ts'

let scene: Scene
beforeEach(async () => {
  scene = await startScene()
})
afterEach(() => scene.close())

const subject = () => scene.image.manifest
const referrer = (name: string) =>
  manifestOf({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: 'application/vnd.example.sbom',
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: scene.image.config.digest, size: 2 },
    layers: [],
    subject: { mediaType: subject().mediaType, digest: subject().digest, size: subject().bytes.length },
    annotations: { name },
  } as { mediaType: string })
const shown = (name: string) => {
  const { digest, mediaType, bytes } = referrer(name)
  const artifactType = 'application/vnd.example.sbom'
  return { digest, mediaType, sizeBytes: bytes.length, artifactType, annotations: { name } }
}
const answerIndex = (manifests: unknown, link?: string): Fault =>
  status(200, { 'content-type': mediaTypes.ociIndex, ...(link ? { link } : {}) }, JSON.stringify({ manifests }))
const entry = (name: string) => {
  const { digest, mediaType, bytes } = referrer(name)
  return { digest, mediaType, size: bytes.length }
}

describe('what refers to a digest', () => {
  const listed = () => scene.client().referrers(repository, subject().digest)

  test('is listed with type, size and annotations', async () => {
    scene.upstream.addManifest(repository, referrer('one'))
    scene.upstream.addManifest(repository, referrer('two'), 'tagged-too')
    const found = await listed()
    expect(found?.toSorted((a, b) => (a.annotations?.name ?? '').localeCompare(b.annotations?.name ?? ''))).toEqual([
      shown('one'),
      shown('two'),
    ])
  })

  test('may be nothing', async () => expect(await listed()).toEqual([]))

  test('comes in pages, each once, whatever host their links name', async () => {
    const next = `/v2/${repository}/referrers/${subject().digest}?page=2`
    scene.upstream.when(/referrers/, answerIndex([entry('one')], `<${next}>; rel="next"`))
    scene.upstream.when(/page=2/, answerIndex([entry('one'), entry('two')], `<http://198.51.100.1${next}>; rel="next"`))
    expect((await listed())?.map(({ digest }) => digest)).toEqual([referrer('one').digest, referrer('two').digest])
  })

  test.each<[string, Fault]>([
    ['answers 404', status(404)],
    ['answers a page of its own', status(200, { 'content-type': 'text/html' }, '<html>')],
  ])('is unknown to an upstream that %s', async (_title, fault) => {
    scene.upstream.when(/referrers/, fault)
    expect(await listed()).toBeUndefined()
  })

  test('is unknown to a registry from before this API', async () => {
    const old = await startMisbehavingUpstream({ referrersApi: false })
    try {
      expect(await scene.client({ url: old.url }).referrers(repository, subject().digest)).toBeUndefined()
    } finally {
      await old.close()
    }
  })

  test.each([
    ['no JSON', '<html>'],
    ['no list', '{}'],
    ['a list of words', '{"manifests":["a"]}'],
    ['a digest that is none', '{"manifests":[{"digest":"sha256:x","mediaType":"a","size":1}]}'],
    ['no size', `{"manifests":[{"digest":"sha256:${'a'.repeat(64)}","mediaType":"a"}]}`],
  ])('with %s is an error', async (_title, body) => {
    scene.upstream.when(/referrers/, status(200, { 'content-type': mediaTypes.ociIndex }, body))
    expect(await failure(listed())).toMatchObject({ code: 'protocol', host: scene.upstream.host })
  })

  test('without end is an error', async () => {
    let page = 0
    scene.upstream.when(/referrers/, (exchange) =>
      answerIndex(
        [entry('one')],
        `</v2/${repository}/referrers/${subject().digest}?p=${++page}>; rel="next"`,
      )(exchange),
    )
    expect(await failure(listed())).toMatchObject({ code: 'protocol' })
    expect(page).toBeLessThan(200)
  })

  test.each([400, 401, 403, 405, 406, 501])('answered with %i is an error, not an absence', async (code) => {
    scene.upstream.when(/referrers/, status(code))
    expect(await failure(listed())).toMatchObject({ status: code })
  })
})

describe('the repositories of a registry', () => {
  const listed = async () => {
    const names: string[] = []
    for await (const page of scene.client().catalog()) names.push(...page)
    return names
  }

  test('are listed', async () => {
    scene.upstream.add('team/app', '1', imageOf('app', 10))
    expect(await listed()).toEqual([repository, 'team/app'])
  })

  test('come in pages, and one that breaks off is read again', async () => {
    const page = (names: string[], link?: string): Fault =>
      status(200, link ? { link } : {}, JSON.stringify({ repositories: names }))
    scene.upstream.when(/_catalog/, page(['a', 'b'], '</v2/_catalog?last=b>; rel="next"'))
    scene.upstream.when(/last=b/, page(['c']))
    scene.upstream.when(/last=b/, cut(3), 1)
    expect(await listed()).toEqual(['a', 'b', 'c'])
  })

  test('are asked for with a scope of their own', async () => {
    scene.upstream.when(/_catalog/, ({ request, response, behave }) => {
      if (request.headers.authorization === 'Bearer yes') return behave()
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${scene.upstream.url}/token",service="s"` }).end()
    })
    scene.upstream.when(/\/token/, status(200, {}, '{"token":"yes"}'))
    await listed()
    const asked = scene.upstream.seen.find(({ path }) => path.startsWith('/token'))
    expect(new URL(asked?.path ?? '', scene.upstream.url).searchParams.get('scope')).toBe('registry:catalog:*')
  })

  test('that may not be listed are an error', async () => {
    scene.upstream.when(/_catalog/, status(404))
    expect(await failure(listed())).toMatchObject({ code: 'not_found' })
  })
})
