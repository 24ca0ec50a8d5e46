import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Skopeo, startSkopeo } from './clients/skopeo.ts'
import { getManifest, localRemote, make, sha256 } from './requests.ts'
import { missingPrograms } from './servers/programs.ts'
import { startTestStack, type TaskView, type TestStack } from './stack.ts'
import { startUpstreams, type Upstreams, upstreamLogin, upstreamName, upstreamPrograms } from './upstreams.ts'

const missing = missingPrograms(...upstreamPrograms)
const group = missing.length > 0 ? describe.skip : describe

group(`syncs from real registries${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`, () => {
  let stack: TestStack
  let upstreams: Upstreams
  let skopeo: Skopeo
  let count = 0
  beforeAll(async () => {
    upstreams = await startUpstreams()
    stack = await startTestStack()
    skopeo = startSkopeo()
    await synced('whole', {}, { name: 'whole/busybox' })
  }, 120_000)
  afterAll(async () => {
    await Promise.all([stack, upstreams, skopeo].map((one) => one?.stop()))
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
  async function synced(
    place: string,
    fields: object,
    { name = `real/${++count}`, mode = 'additive' }: { name?: string; mode?: string } = {},
  ): Promise<{ name: string; task: TaskView }> {
    const from = places[place] ?? places['docker-registry']
    await make(stack, '/remotes', { ...from?.(), name: `remote-${name}`, ...fields })
    await make(stack, '/repositories', { name })
    await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
    const { body } = await stack.api('POST', '/syncs', { repository: name, remote: `remote-${name}`, mode })
    return { name, task: await stack.waitForTask(body.id) }
  }
  const tagsOf = async (name: string) =>
    ((await (await fetch(`${stack.url}/v2/${name}/tags/list`)).json()) as { tags: string[] }).tags
  const upstreamDigest = async (tag: string) =>
    (await getManifest(`${upstreams.open.url}/v2/${upstreamName}/manifests/${tag}`)).digest

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
