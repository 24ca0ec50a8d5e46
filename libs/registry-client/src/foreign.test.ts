import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import {
  cut,
  type MisbehavingUpstream,
  oversized,
  redirectTo,
  startMisbehavingUpstream,
  status,
} from './misbehaving-upstream/index.ts'
import { failure, readAll, repository, type Scene, startScene } from './testing/client.fixture.ts'

let scene: Scene
let elsewhere: MisbehavingUpstream
beforeEach(async () => {
  scene = await startScene()
  elsewhere = await startMisbehavingUpstream({ host: 'localhost' })
  elsewhere.add(repository, 'latest', scene.image)
})
afterEach(async () => {
  await scene.close()
  await elsewhere.close()
})
const layer = () => {
  const [first] = scene.image.layers
  if (!first) throw new Error('no layer')
  return { digest: first.digest, sizeBytes: first.bytes.length, bytes: first.bytes }
}
const url = () => `${elsewhere.url}/v2/${repository}/blobs/${layer().digest}`
const credentials = { username: 'reader', password: 'pl4nted' }

describe('a foreign layer', () => {
  test('is fetched from where the manifest says, without the credentials of the remote', async () => {
    const client = scene.client({ credentials })
    expect((await readAll(client.foreign(url(), layer()))).equals(layer().bytes)).toBe(true)
    expect(elsewhere.seen.map(({ authorization }) => authorization)).toEqual([undefined])
    expect(scene.upstream.seen).toEqual([])
  })

  test('gets no header of the remote either, though it be where the registry is', async () => {
    const client = scene.client({ credentials, headers: { 'x-team': 'pl4nted' } })
    const path = `/v2/${repository}/blobs/${layer().digest}`
    elsewhere.when(
      /go/,
      redirectTo(() => scene.upstream.url + path),
    )
    for (const text of [scene.upstream.url + path, `${elsewhere.url}/go`])
      expect((await readAll(client.foreign(text, layer()))).equals(layer().bytes)).toBe(true)
    expect(scene.upstream.seen.map(({ headers }) => headers['x-team'])).toEqual([undefined, undefined])
  })

  test('that wants a login is an error, and gets none', async () => {
    elsewhere.when(/./, status(401, { 'www-authenticate': 'Basic realm="x"' }))
    expect(await failure(readAll(scene.client({ credentials }).foreign(url(), layer())))).toMatchObject({
      code: 'unauthorized',
    })
    expect(elsewhere.seen.map(({ authorization }) => authorization)).toEqual([undefined])
  })

  test('goes on after a cut', async () => {
    elsewhere.when(/blobs/, cut(30_000), 1)
    expect((await readAll(scene.client().foreign(url(), layer()))).equals(layer().bytes)).toBe(true)
    expect(elsewhere.seen.at(1)?.range).toMatch(/^bytes=\d+-$/)
  })

  test('is followed through redirects', async () => {
    scene.upstream.when(
      /go/,
      redirectTo(() => url()),
    )
    const short = `${scene.upstream.url}/go?id=1`
    expect((await readAll(scene.client().foreign(short, layer()))).equals(layer().bytes)).toBe(true)
  })

  test('is never longer than its descriptor', async () => {
    elsewhere.when(/./, oversized(10 << 20))
    expect(await failure(readAll(scene.client().foreign(url(), layer())))).toMatchObject({ code: 'bad_digest' })
  })

  test.each(['file:///etc/passwd', 'gopher://example.com/x', 'nothing', '', 'https://user:pl4nted@example.com/x'])(
    'at %j is refused',
    async (text) => {
      const error = await failure(readAll(scene.client().foreign(text, layer())))
      expect(error).toMatchObject({ code: 'protocol' })
      expect(error.message).not.toContain('pl4nted')
    },
  )

  test('without TLS is refused when the registry itself has it', async () => {
    const client = scene.client({ url: 'https://registry.example.com' })
    expect(await failure(readAll(client.foreign(url(), layer())))).toMatchObject({ code: 'protocol' })
    expect(elsewhere.seen).toEqual([])
  })

  test.each(['http://127.0.0.1:1/x', 'http://[::ffff:127.0.0.1]:1/x', 'http://0x7f.1:1/x', 'http://169.254.169.254/x'])(
    'at the private address %s is refused',
    async (text) => {
      const client = scene.client({ allowPrivateAddresses: false })
      expect(await failure(readAll(client.foreign(text, layer())))).toMatchObject({ code: 'address_refused' })
    },
  )
})

describe('a blob from an offset', () => {
  test.each([1, 50_000, 99_999])('%d on is asked for by Range and comes from there', async (from) => {
    const bytes = await readAll(scene.client().blob(repository, { ...layer(), from }))
    expect(bytes.equals(layer().bytes.subarray(from))).toBe(true)
    expect(scene.upstream.seen.map(({ range }) => range)).toEqual([`bytes=${from}-`])
  })

  test('at its end is nothing, and nobody is asked', async () => {
    const bytes = await readAll(scene.client().blob(repository, { ...layer(), from: layer().sizeBytes }))
    expect(bytes).toHaveLength(0)
    expect(scene.upstream.seen).toEqual([])
  })

  test('comes from there too where ranges are unknown, or the size', async () => {
    scene.upstream.when(/blobs/, ({ response }) => {
      response.writeHead(200, { 'content-length': layer().sizeBytes }).end(layer().bytes)
    })
    const whole = await readAll(scene.client().blob(repository, { ...layer(), sizeBytes: undefined, from: 70_000 }))
    expect(whole.equals(layer().bytes.subarray(70_000))).toBe(true)
    scene.upstream.mend()
    const part = await readAll(scene.client().blob(repository, { ...layer(), sizeBytes: undefined, from: 70_000 }))
    expect(part.equals(layer().bytes.subarray(70_000))).toBe(true)
  })

  test('goes on after a cut', async () => {
    scene.upstream.when(/blobs/, cut(10_000), 1)
    const bytes = await readAll(scene.client().blob(repository, { ...layer(), from: 70_000 }))
    expect(bytes.equals(layer().bytes.subarray(70_000))).toBe(true)
  })

  test.each(['bytes 0-99999/100000', 'bytes 69999-99999/100000', '', 'bytes */100000'])(
    'answered with %j is an error: the bytes would be wrong',
    async (range) => {
      scene.upstream.when(/blobs/, status(206, { 'content-range': range }, 'x'.repeat(30_000)))
      expect(await failure(readAll(scene.client().blob(repository, { ...layer(), from: 70_000 })))).toMatchObject({
        code: 'protocol',
        host: scene.upstream.host,
      })
    },
  )
})
