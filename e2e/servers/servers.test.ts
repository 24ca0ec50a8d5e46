import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type BuiltImages, buildImages, pushImage } from './images.ts'
import { missingPrograms } from './programs.ts'
import { makeTemporaryFolder, removeFolder } from './temporary-folder.ts'
import { startDistribution, startDockerRegistry, type Upstream } from './upstream.ts'

const missing = missingPrograms('buildah', 'skopeo', 'busybox', 'docker-registry', 'htpasswd')
const maybe = missing.length === 0 ? describe : describe.skip
const user = { user: 'reader', password: 'letters' }

maybe(`real images and upstreams${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`, () => {
  let folder: string
  let images: BuiltImages

  beforeAll(async () => {
    folder = makeTemporaryFolder('images')
    images = await buildImages(folder)
  }, 120_000)
  afterAll(() => removeFolder(folder))

  test('two builds have the same digests', async () => {
    const again = path.join(folder, 'again')
    mkdirSync(again)
    const second = await buildImages(again)
    expect(index(second)).toEqual(index(images))
  }, 120_000)

  test('building leaves nothing mounted', () => {
    if (!existsSync('/proc/mounts')) return
    expect(readFileSync('/proc/mounts', 'utf8')).not.toContain(folder)
  })

  test('docker-registry with a password takes and serves the images', async () => {
    const upstream = await startDockerRegistry({ htpasswd: user })
    try {
      for (const tag of [...images.singles, images.list]) {
        await pushImage(images, tag, `${upstream.host}/library/busybox:${tag}`, user)
      }
      expect(await tags(upstream, user)).toEqual(['layered', 'multi', 'small'])
      expect(await platforms(upstream)).toEqual(['amd64', 'arm64'])
      expect((await fetch(`${upstream.url}/v2/`)).status).toBe(401)
    } finally {
      await upstream.stop()
    }
    await expect(fetch(`${upstream.url}/v2/`)).rejects.toThrow('fetch failed')
  }, 60_000)

  const distribution = process.env.BERTH_TEST_DISTRIBUTION ? test : test.skip
  distribution(
    'distribution 3 takes and serves them too',
    async () => {
      const upstream = await startDistribution()
      try {
        await pushImage(images, 'small', `${upstream.host}/library/busybox:small`)
        expect(await tags(upstream)).toEqual(['small'])
        expect(upstream.log()).toContain('library/busybox')
      } finally {
        await upstream.stop()
      }
    },
    60_000,
  )
})

function index(images: BuiltImages): unknown {
  const { manifests } = JSON.parse(readFileSync(path.join(images.layout, 'index.json'), 'utf8')) as {
    manifests: { digest: string }[]
  }
  return manifests.map(({ digest }) => digest).sort()
}

function authorization(credentials?: { user: string; password: string }): Record<string, string> {
  if (!credentials) return {}
  return { authorization: `Basic ${btoa(`${credentials.user}:${credentials.password}`)}` }
}

async function tags(upstream: Upstream, credentials?: { user: string; password: string }): Promise<string[]> {
  const answer = await fetch(`${upstream.url}/v2/library/busybox/tags/list`, { headers: authorization(credentials) })
  return ((await answer.json()) as { tags: string[] }).tags.sort()
}

async function platforms(upstream: Upstream): Promise<string[]> {
  const accept = 'application/vnd.oci.image.index.v1+json'
  const headers = { ...authorization(user), accept }
  const answer = await fetch(`${upstream.url}/v2/library/busybox/manifests/multi`, { headers })
  const { manifests } = (await answer.json()) as { manifests: { platform: { architecture: string } }[] }
  return manifests.map(({ platform }) => platform.architecture).sort()
}
