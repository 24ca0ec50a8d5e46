import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Berth, TaskView } from '../berth/berth.ts'
import { getManifest, localRemote, make, sha256 } from '../berth/requests.ts'
import { startTestStack } from '../berth/stack.ts'
import { withBerth } from '../berth/with-berth.ts'
import { type Skopeo, startSkopeo } from '../clients/skopeo.ts'
import { pushImage } from '../servers/images.ts'
import { missingPrograms } from '../servers/programs.ts'
import { startDistribution, type Upstream } from '../servers/upstream.ts'
import {
  borrowUpstreams,
  imageIdOf,
  type Upstreams,
  upstreamLogin,
  upstreamName,
  upstreamPrograms,
} from '../servers/upstreams.ts'

const hasDistribution = process.env.BERTH_TEST_DISTRIBUTION !== undefined
const missing = missingPrograms(...upstreamPrograms)
const group = missing.length > 0 ? describe.skip : describe
const withTokens = 'distribution that takes tokens of Berth'

group(`syncs from real registries${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`, () => {
  const stack = withBerth()
  let upstreams: Upstreams
  let skopeo: Skopeo
  let tokens: Upstream | undefined
  let count = 0
  beforeAll(async () => {
    upstreams = await borrowUpstreams()
    skopeo = startSkopeo()
    if (hasDistribution) tokens = await startGuardedByBerth(upstreams, stack)
    await synced('whole', {}, { name: 'whole/busybox' })
  }, 120_000)
  afterAll(async () => {
    await Promise.all([skopeo?.stop(), tokens?.stop()])
  }, 60_000)

  const places: Record<string, () => object> = {
    'docker-registry': () => localRemote('', upstreams.open.url, upstreamName),
    'docker-registry with htpasswd': () =>
      localRemote('', upstreams.guarded.url, upstreamName, {
        username: upstreamLogin.user,
        password: upstreamLogin.password,
      }),
    'another Berth': () =>
      localRemote('', stack.url, 'whole/busybox', { username: stack.user, password: stack.password }),
  }
  if (hasDistribution)
    places[withTokens] = () =>
      localRemote('', tokens?.url ?? '', upstreamName, {
        username: stack.user,
        password: stack.password,
        tokenHosts: [new URL(stack.url).host],
      })
  async function synced(
    place: string,
    fields: object,
    { name = `real/${++count}`, mode = 'additive', into = stack }: { name?: string; mode?: string; into?: Berth } = {},
  ): Promise<{ name: string; task: TaskView }> {
    const from = places[place] ?? places['docker-registry']
    await make(into, '/remotes', { ...from?.(), name: `remote-${name}`, ...fields })
    await make(into, '/repositories', { name })
    await make(into, '/distributions', { name, basePath: name, repository: name, access: 'public' })
    const { body } = await into.api('POST', '/syncs', { repository: name, remote: `remote-${name}`, mode })
    return { name, task: await into.waitForTask(body.id) }
  }
  const tagsOf = async (name: string) =>
    ((await (await fetch(`${stack.url}/v2/${name}/tags/list`)).json()) as { tags: string[] }).tags
  const upstreamDigest = async (tag: string) =>
    (await getManifest(`${upstreams.open.url}/v2/${upstreamName}/manifests/${tag}`)).digest

  const tokenTest = hasDistribution ? test : test.skip
  tokenTest(
    `${withTokens} gives nothing without one${hasDistribution ? '' : ' (distribution 3 is not built)'}`,
    async () => {
      const answer = await fetch(`${tokens?.url}/v2/${upstreamName}/manifests/small`)
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
        401,
        expect.stringContaining(`realm="${stack.url}/token"`),
      ])
    },
  )

  test.each(
    Object.keys(places).flatMap((place) => [
      [place, 'additive'],
      [place, 'mirror'],
    ]),
  )(
    'from %s, %s: every tag and platform has the digest that it has upstream',
    async (place, mode) => {
      const { name, task } = await synced(place, {}, { mode })
      expect(task).toMatchObject({ state: 'completed', result: { version: 1, created: true } })
      const tags = await tagsOf(name)
      expect(tags.length).toBeGreaterThanOrEqual(2)
      for (const tag of tags)
        expect((await getManifest(`${stack.url}/v2/${name}/manifests/${tag}`)).digest).toBe(await upstreamDigest(tag))
      const raw = await skopeo.raw(`${stack.host}/${name}:multi`)
      expect(raw).toEqual(await skopeo.raw(`${upstreams.open.host}/${upstreamName}:multi`))
      for (const { digest } of (JSON.parse(raw) as { manifests: { digest: string }[] }).manifests) {
        const child = await getManifest(`${stack.url}/v2/${name}/manifests/${digest}`)
        expect([child.status, sha256(child.text)]).toEqual([200, digest])
      }
    },
    60_000,
  )

  test.each(['docker-registry', 'another Berth', ...(hasDistribution ? [withTokens] : [])])(
    'from %s, streamed and on_demand: layers stay there until skopeo pulls them, and it gets what it gets from upstream',
    async (place) => {
      // One of its own, or it would have the layers already. What is streamed is not kept, so that goes first.
      const into = await startTestStack()
      try {
        for (const policy of ['streamed', 'on_demand']) await pullLate(into, place, policy)
      } finally {
        await into.stop()
      }
    },
    120_000,
  )
  async function pullLate(into: Berth, place: string, policy: string): Promise<void> {
    const { name, task } = await synced(place, { policy }, { into })
    const { text } = await getManifest(`${into.url}/v2/${name}/manifests/layered`)
    const { layers } = JSON.parse(text) as { layers: { digest: string; size: number }[] }
    expect(task.state).toBe('completed')
    expect(task.result.bytesFetched).toBeLessThan(Math.max(...layers.map(({ size }) => size)))
    for (const tag of ['layered', 'small'])
      expect(await skopeo.pull(`${into.host}/${name}:${tag}`)).toBe(await imageIdOf(upstreams, tag))
    expect(await skopeo.pullFor('arm64', `${into.host}/${name}:multi`)).toBe(
      await skopeo.pullFor('arm64', `${upstreams.open.host}/${upstreamName}:multi`),
    )
    for (const { digest } of layers) {
      const answer = await fetch(`${into.url}/v2/${name}/blobs/${digest}`)
      expect(sha256(new Uint8Array(await answer.arrayBuffer()))).toBe(digest)
    }
  }

  test.each(Object.keys(places))(
    'from %s: each filter takes what it says',
    async (place) => {
      const digest = await upstreamDigest('small')
      const wanted: [object, string[]][] = [
        [{ includeTags: ['m*'] }, ['multi']],
        [{ includeTags: ['*'], excludeTags: ['s*', 'l*'] }, ['multi']],
        [{ includeTags: ['small'] }, ['small']],
        [{ includeTags: ['newest:1'], excludeTags: ['layered'] }, ['small']],
        [{ includeTags: ['small', 'semver:>=1'] }, ['small']],
        [{ includeTags: [digest] }, []],
        [{ includeTags: ['multi'], platforms: ['linux/arm64'] }, ['multi']],
      ]
      for (const [fields, tags] of wanted) {
        const { name, task } = await synced(place, fields)
        expect({ fields, task }).toMatchObject({ task: { state: 'completed', result: { version: 1 } } })
        expect({ fields, tags: await tagsOf(name) }).toEqual({ fields, tags })
        if (tags.length === 0)
          expect((await getManifest(`${stack.url}/v2/${name}/manifests/${digest}`)).status).toBe(200)
        if (!('platforms' in fields)) continue
        expect(await skopeo.raw(`${stack.host}/${name}:multi`)).toEqual(
          await skopeo.raw(`${upstreams.open.host}/${upstreamName}:multi`),
        )
        expect(await skopeo.pullFor('arm64', `${stack.host}/${name}:multi`)).toBe(
          await skopeo.pullFor('arm64', `${upstreams.open.host}/${upstreamName}:multi`),
        )
        await expect(skopeo.pullFor('amd64', `${stack.host}/${name}:multi`)).rejects.toThrow(/unknown|404|not found/i)
      }
    },
    90_000,
  )
})

/** distribution 3 as it is set up in docs/how-to/upstreams.md, with the images that the open registry has. */
async function startGuardedByBerth({ images }: Upstreams, stack: Berth): Promise<Upstream> {
  const jwks = (await (await fetch(`${stack.url}/api/v1/keys`)).json()) as object
  const token = { realm: `${stack.url}/token`, service: 'berth', issuer: 'berth-auth', jwks }
  const upstream = await startDistribution({ token })
  for (const tag of [...images.singles, images.list])
    await pushImage(images, tag, `${upstream.host}/${upstreamName}:${tag}`, stack)
  return upstream
}
