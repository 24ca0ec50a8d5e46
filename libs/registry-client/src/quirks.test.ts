import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import {
  afterwards,
  byLast,
  type Fault,
  imageOf,
  inPages,
  type MisbehavingUpstream,
  noHead,
  type PageQuirk,
  redirectTo,
  requireTokens,
  slowly,
  startMisbehavingUpstream,
  status,
  without,
} from './misbehaving-upstream/index.ts'
import { failure, readAll, repository, type Scene, startScene } from './testing/client.fixture.ts'

let scene: Scene
let elsewhere: MisbehavingUpstream
beforeEach(async () => {
  scene = await startScene()
  elsewhere = await startMisbehavingUpstream({ host: 'localhost' })
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

describe('lists', () => {
  const names = Array.from({ length: 7 }, (_, i) => `v${i}`)
  const listed = async () => {
    const tags: string[] = []
    for await (const page of scene.client().tags(repository)) tags.push(...page)
    return [...new Set(tags)].sort()
  }

  test.each<PageQuirk>([
    'relative link',
    'absolute link',
    'link to another host',
    'link without quotes',
    'unsorted',
    'names twice',
    'the last page links to itself',
    'an empty page in the middle',
  ])('with %s come whole, from this host alone', async (quirk) => {
    scene.upstream.add(repository, names, scene.image)
    scene.upstream.when(/tags/, inPages('tags', 3, quirk))
    expect(await listed()).toEqual(['latest', ...names])
  })

  test('with the same page for ever end in an error', async () => {
    scene.upstream.add(repository, names, scene.image)
    scene.upstream.when(/tags/, inPages('tags', 3, 'the same page for ever'))
    expect(await failure(listed())).toMatchObject({ code: 'protocol', host: scene.upstream.host })
  })

  describe('without a link', () => {
    const many = Array.from({ length: 1_250 }, (_, i) => `t${String(i).padStart(4, '0')}`)
    const read = async (onOpenEnd?: (why: unknown) => void) => {
      const tags: string[] = []
      for await (const page of scene.client({ retries: 0 }).tags(repository, undefined, onOpenEnd)) tags.push(...page)
      return tags
    }

    test('end where nothing new follows the last name', async () => {
      scene.upstream.add(repository, many, scene.image)
      scene.upstream.when(/tags/, byLast('tags', 1_000))
      expect(await read()).toEqual(['latest', ...many])
      expect(scene.upstream.seen.map(({ path }) => path.split('?')[1])).toEqual([
        'n=1000',
        'n=1000&last=t0998',
        'n=1000&last=t1249',
      ])
    })

    test('may end anywhere for all that is known, where that question fails', async () => {
      scene.upstream.add(repository, many, scene.image)
      scene.upstream.when(/tags/, byLast('tags', 1_000))
      scene.upstream.when(/last=/, status(500))
      const heard: unknown[] = []
      expect(await read((why) => heard.push(why))).toHaveLength(1_000)
      expect(heard).toEqual([expect.objectContaining({ status: 500 })])
    })

    test('that do not heed the last name end all the same, each name once', async () => {
      scene.upstream.add(repository, names, scene.image)
      expect(await read()).toEqual(['latest', ...names])
    })
  })

  test('that are empty are empty, and are no error', async () => {
    scene.upstream.when(/tags/, status(200, {}, '{"name":"x","tags":[]}'))
    expect(await listed()).toEqual([])
  })
})

describe('manifests', () => {
  test.each<[string, Fault]>([
    ['no HEAD', noHead],
    ['no digest header', without('docker-content-digest')],
    ['no length', without('content-length')],
    ['neither digest nor length', without('docker-content-digest', 'content-length')],
  ])('of an upstream with %s are found and right', async (_title, fault) => {
    scene.upstream.when(/manifests/, fault)
    const { manifest } = scene.image
    expect(await scene.client().resolve(repository, 'latest')).toBe(manifest.digest)
    expect((await scene.client().manifest(repository, 'latest')).bytes).toEqual(manifest.bytes)
  })

  test('of a tag that moves after it was asked for are those that were asked for', async () => {
    const newer = imageOf('newer', 10)
    scene.upstream.when(
      /HEAD .*manifests\/latest/,
      afterwards(() => scene.upstream.add(repository, 'latest', newer)),
      1,
    )
    const client = scene.client()
    const found = await client.resolve(repository, 'latest')
    if (!found) throw new Error('nothing was found')
    expect((await client.manifest(repository, found)).digest).toBe(scene.image.manifest.digest)
    expect(await client.resolve(repository, 'latest')).toBe(newer.manifest.digest)
  })

  test('whose digest header lies are refused', async () => {
    scene.upstream.when(/GET .*manifests/, ({ response, answer }) => {
      const digest = `sha256:${createHash('sha256').update('other').digest('hex')}`
      response.writeHead(200, { ...answer.headers, 'docker-content-digest': digest }).end(answer.body)
    })
    expect(await failure(scene.client().manifest(repository, 'latest'))).toMatchObject({ code: 'bad_digest' })
  })
})

describe('blobs', () => {
  test('that come slowly come whole, as long as they come', async () => {
    scene.upstream.when(/blobs/, slowly(20_000, 100))
    const got = await readAll(scene.client({ timeouts: { idleMs: 1_000 } }).blob(repository, layer()))
    expect(got.equals(layer().bytes)).toBe(true)
    expect(scene.upstream.seen).toHaveLength(1)
  })

  test('that another host has come from there, which learns nothing of us', async () => {
    elsewhere.add(repository, 'latest', scene.image)
    const login = { username: 'reader', password: 'pl4nted' }
    scene.upstream.when(
      /blobs/,
      redirectTo((path) => `${elsewhere.url}${path}?signed=1`),
    )
    requireTokens(scene.upstream, { login })
    const client = scene.client({ credentials: login, headers: { 'x-team': 'pl4nted' } })
    expect((await readAll(client.blob(repository, layer()))).equals(layer().bytes)).toBe(true)
    expect(elsewhere.seen).toHaveLength(1)
    const { headers = {} } = elsewhere.seen[0] ?? {}
    expect(
      Object.keys(headers).filter((name) => !['host', 'connection', 'accept', 'user-agent'].includes(name)),
    ).toEqual([])
  })
})

test('a login that is asked for again and again ends after one more try each', async () => {
  const realm = requireTokens(scene.upstream)
  scene.upstream.when(/manifests/, status(401, { 'www-authenticate': `Bearer realm="${scene.upstream.url}/token"` }))
  for (let i = 0; i < 3; i++)
    expect(await failure(scene.client({ retries: 5 }).resolve(repository, 'latest'))).toMatchObject({
      code: 'unauthorized',
    })
  expect(realm.asked.length).toBeLessThanOrEqual(3)
  expect(scene.upstream.seen.filter(({ path }) => path.includes('manifests')).length).toBeLessThanOrEqual(6)
})
