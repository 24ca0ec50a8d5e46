import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import {
  cut,
  type Fault,
  hang,
  hangAfter,
  imageOf,
  oversized,
  short,
  status,
  wrongBytes,
} from './misbehaving-upstream/index.ts'
import { failure, readAll, repository, type Scene, startScene } from './testing/client.fixture.ts'

let scene: Scene
beforeEach(async () => {
  scene = await startScene()
})
afterEach(() => scene.close())
const layer = () => {
  const [first] = scene.image.layers
  if (!first) throw new Error('no layer')
  return { digest: first.digest, sizeBytes: first.bytes.length, bytes: first.bytes }
}
const fetchLayer = async (more = {}) => readAll(scene.client(more).blob(repository, layer()))
const requests = (fits: RegExp) => scene.upstream.seen.filter(({ method, path }) => fits.test(`${method} ${path}`))

describe('tags and digests', () => {
  const methods = () => scene.upstream.seen.map(({ method }) => method)

  test('a tag stands for a digest, asked by HEAD alone', async () => {
    expect(await scene.client().resolve(repository, 'latest')).toBe(scene.image.manifest.digest)
    expect(methods()).toEqual(['HEAD'])
  })

  test('whether a tag stands for what is known is asked as a condition, and answered with no more than yes', async () => {
    const { digest } = scene.image.manifest
    const statuses: number[] = []
    scene.upstream.when(/^HEAD/, ({ answer, behave }) => {
      statuses.push(answer.status)
      behave()
    })
    expect(await scene.client().resolve(repository, 'latest', undefined, digest)).toBe(digest)
    expect(statuses).toEqual([304])
    expect(methods()).toEqual(['HEAD'])
  })

  test('a tag that moved is told by its new digest, whatever is known', async () => {
    const older = imageOf('older', 10).manifest.digest
    expect(await scene.client().resolve(repository, 'latest', undefined, older)).toBe(scene.image.manifest.digest)
    expect(await scene.client().resolve(repository, 'absent', undefined, older)).toBeUndefined()
  })

  test('a digest stands for itself, whatever the answer says', async () => {
    const { digest } = scene.image.manifest
    const other = imageOf('other', 10).manifest.digest
    scene.upstream.when(/^HEAD/, status(200, { 'docker-content-digest': other }))
    expect(await scene.client().resolve(repository, digest)).toBe(digest)
  })

  test('"not modified" where no condition was sent is a fault', async () => {
    scene.upstream.when(/^HEAD/, status(304))
    expect(await failure(scene.client().resolve(repository, 'latest'))).toMatchObject({ status: 304 })
  })

  test('one that is not there is no error', async () => {
    expect(await scene.client().resolve(repository, 'absent')).toBeUndefined()
    expect(await failure(scene.client().manifest(repository, 'absent'))).toMatchObject({
      code: 'not_found',
      status: 404,
    })
  })

  const bare: Fault = ({ request, response, answer }) => {
    const { 'docker-content-digest': _digest, ...headers } = answer.headers
    response.writeHead(answer.status, headers).end(request.method === 'HEAD' ? undefined : answer.body)
  }
  test.each<[string, Fault]>([
    ['knows no HEAD', status(405)],
    ['names no digest', bare],
  ])('an upstream that %s is asked by GET', async (_title, fault) => {
    scene.upstream.when(/^HEAD/, fault)
    scene.upstream.when(/^GET .*manifests/, bare)
    expect(await scene.client().resolve(repository, 'latest')).toBe(scene.image.manifest.digest)
  })
})

describe('manifests', () => {
  test('come verified, by tag and by digest', async () => {
    const { manifest } = scene.image
    for (const reference of ['latest', manifest.digest])
      expect(await scene.client().manifest(repository, reference)).toEqual({
        bytes: manifest.bytes,
        digest: manifest.digest,
      })
  })

  test.each<[string, Fault, string]>([
    ['other bytes than the digest', wrongBytes, 'bad_digest'],
    ['half of the bytes', short, 'bad_digest'],
    ['a body that breaks off', cut(50), 'unavailable'],
    ['more than 4 MiB', oversized(50 << 20), 'protocol'],
    ['no answer', hang, 'timeout'],
    ['half an answer', hangAfter(50), 'timeout'],
  ])('%s is an error that names the host', async (_title, fault, code) => {
    scene.upstream.when(/manifests/, fault)
    const error = await failure(scene.client({ retries: 0 }).manifest(repository, scene.image.manifest.digest))
    expect(error).toMatchObject({ name: 'UpstreamError', code, host: scene.upstream.host })
    expect(error.message).toContain(scene.upstream.host)
  })

  test('one that breaks off once is read again', async () => {
    scene.upstream.when(/manifests/, cut(50), 1)
    expect((await scene.client().manifest(repository, 'latest')).bytes).toEqual(scene.image.manifest.bytes)
  })
})

describe('blobs', () => {
  test('come whole', async () => {
    expect((await fetchLayer()).equals(layer().bytes)).toBe(true)
  })

  test('go on by Range after a cut, without a byte twice', async () => {
    scene.upstream.when(/blobs/, cut(30_000), 1)
    expect((await fetchLayer()).equals(layer().bytes)).toBe(true)
    const [first, second] = requests(/blobs/)
    expect(first?.range).toBeUndefined()
    expect(Number(/^bytes=(\d+)-$/.exec(second?.range ?? '')?.[1])).toBeLessThanOrEqual(30_000)
  })

  test('that are cut again and again come whole as long as there is headway', async () => {
    scene.upstream.when(/blobs/, cut(30_000), 3)
    expect((await fetchLayer({ retries: 1 })).equals(layer().bytes)).toBe(true)
  })

  test('are read again from an upstream that knows no ranges', async () => {
    scene.upstream.when(/blobs/, ({ response }) => void response.writeHead(200).end(layer().bytes))
    scene.upstream.when(/blobs/, cut(30_000), 1)
    expect((await fetchLayer()).equals(layer().bytes)).toBe(true)
  })

  test('that are too short are asked for again, and then an error', async () => {
    scene.upstream.when(/blobs/, ({ response }) => void response.writeHead(200).end('short'))
    const error = await failure(fetchLayer())
    expect(error).toMatchObject({ code: 'short_body', host: scene.upstream.host })
    expect(requests(/blobs/).length).toBeLessThanOrEqual(4)
  })

  test.each([
    ['shorter', 1, 'short_body'],
    ['longer', -1, 'bad_digest'],
  ])(
    'that upstream says are %s than their descriptor are refused before their first byte',
    async (_title, more, code) => {
      const { digest, sizeBytes } = layer()
      let given = 0
      const read = async () => {
        const blob = { digest, sizeBytes: sizeBytes + more }
        for await (const chunk of scene.client().blob(repository, blob)) given += chunk.length
      }
      const error = await failure(read())
      expect([error.code, error.host, given]).toEqual([code, scene.upstream.host, 0])
      expect(error.message).toContain(`${sizeBytes}`)
      expect(error.message).toContain(`${sizeBytes + more}`)
    },
  )

  test('that end before their descriptor does, at an upstream that says so when it is asked to go on', async () => {
    scene.upstream.when(/blobs/, ({ request, response }) => {
      if (request.headers.range) response.writeHead(416).end()
      else response.writeHead(200).end(layer().bytes)
    })
    const blob = { ...layer(), sizeBytes: layer().sizeBytes + 1 }
    const error = await failure(readAll(scene.client().blob(repository, blob)))
    expect(error).toMatchObject({
      code: 'short_body',
      message: expect.stringContaining(`gave ${layer().sizeBytes} of`),
    })
  })

  test('that are longer than their descriptor are cut off', async () => {
    scene.upstream.when(/blobs/, oversized(10 << 20))
    expect(await failure(fetchLayer())).toMatchObject({ code: 'bad_digest' })
  })

  test.each<[string, Fault, string]>([
    ['never begins', hang, 'timeout'],
    ['stops in the middle', hangAfter(1_000), 'timeout'],
    ['is cut at once', cut(0), 'unavailable'],
    ['is not there', status(404), 'not_found'],
    ['is denied', status(403), 'denied'],
  ])('a transfer that %s is an error, not a wait', async (_title, fault, code) => {
    scene.upstream.when(/blobs/, fault)
    expect(await failure(fetchLayer({ retries: 0 }))).toMatchObject({ code, host: scene.upstream.host })
  })

  test('end when the caller gives up', async () => {
    scene.upstream.when(/blobs/, hangAfter(1_000))
    const giving = new AbortController()
    const client = scene.client({ timeouts: { idleMs: 60_000, headersMs: 60_000 } })
    const reading = (async () => {
      for await (const chunk of client.blob(repository, layer(), giving.signal))
        if (chunk.length > 0) giving.abort(new Error('given up'))
    })()
    await expect(reading).rejects.toThrow('given up')
  })
})

describe('tag lists', () => {
  const listed = async () => {
    const tags: string[] = []
    for await (const page of scene.client().tags(repository)) tags.push(...page)
    return tags
  }
  const page = (tags: unknown, link?: string): Fault =>
    status(200, link ? { link } : {}, JSON.stringify({ name: repository, tags }))

  test.each([
    ['relative', (path: string) => `<${path}>; rel="next"`],
    ['absolute', (path: string, url: string) => `<${url}${path}>; rel="next"`],
    ['of another host', (path: string) => `<http://198.51.100.1${path}>; rel=next`],
  ])('pages are followed by a link that is %s, always on the same host', async (_kind, link) => {
    const path = `/v2/${repository}/tags/list?n=2&last=b`
    scene.upstream.when(/tags/, page(['a', 'b'], link(path, scene.upstream.url)))
    scene.upstream.when(/last=b/, page(['c']))
    expect(await listed()).toEqual(['a', 'b', 'c'])
  })

  test('tags that are null are none', async () => {
    scene.upstream.when(/tags/, page(null))
    expect(await listed()).toEqual([])
  })

  test('a page that links to itself ends the list', async () => {
    scene.upstream.when(/tags/, page(['a'], `</v2/${repository}/tags/list?n=1000>; rel="next"`))
    expect(await listed()).toEqual(['a'])
  })

  test('a list without end is an error', async () => {
    const many = Array.from({ length: 100_000 }, (_, i) => `t${i}`)
    let pages = 0
    scene.upstream.when(/tags/, (exchange) =>
      page(many, `</v2/${repository}/tags/list?n=1000&last=${++pages}>; rel="next"`)(exchange),
    )
    expect(await failure(listed())).toMatchObject({ code: 'protocol' })
    expect(pages).toBeLessThan(20)
  })

  test.each(['<html>', '[]', 'null', '{"tags":"a"}', '{"tags":[1]}', '{}'])('%s is no list of tags', async (body) => {
    scene.upstream.when(/tags/, status(200, {}, body))
    expect(await failure(listed())).toMatchObject({ code: 'protocol', host: scene.upstream.host })
  })

  test('a page that breaks off is read again', async () => {
    scene.upstream.when(/tags/, cut(5), 1)
    expect(await listed()).toEqual(['latest'])
  })
})
