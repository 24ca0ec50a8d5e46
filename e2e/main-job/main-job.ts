import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Berth } from '../berth/berth.ts'
import { type EventsPlace, waitForEvent } from '../berth/events.ts'
import {
  basic,
  getManifest,
  localRemote,
  make,
  manifestTypes,
  repositoryPath,
  sha256,
  startSync,
  sync,
  versionNumbers,
} from '../berth/requests.ts'
import type { Client } from '../clients/client.ts'
import { dockerMissing, startDocker } from '../clients/docker.ts'
import { startPodman } from '../clients/podman.ts'
import { type Skopeo, startSkopeo } from '../clients/skopeo.ts'
import { missingPrograms } from '../servers/programs.ts'
import {
  borrowUpstreams,
  imageIdOf,
  type Upstreams,
  upstreamLogin,
  upstreamName,
  upstreamPrograms,
} from '../servers/upstreams.ts'

/** A stack to do the main job on, where its events can be read, and by which URL it reaches a server here, if by another one. */
export type Setting = {
  stack: Berth
  events: EventsPlace
  reach?: (url: string) => string
  stop(): Promise<void>
}

const mirror = 'library/busybox'
const copyPatienceMs = 60_000

type Scene = { setting: Setting; stack: Berth; upstreams: Upstreams; clients: Map<string, Client>; skopeo: Skopeo }

const clientNames = ['podman', 'docker', 'skopeo'] as const
const absent: Record<(typeof clientNames)[number], string | undefined> = {
  podman: missingPrograms('podman').length > 0 ? 'podman not installed' : undefined,
  docker: dockerMissing(),
  skopeo: undefined,
}

/**
 * Declares the tests of the main job (mirror, version, pull, push, roll back), in one setting. They build on each other in
 * this order: each is one step of the job. Without what an upstream needs all of them are skipped.
 */
export function describeMainJob(title: string, start: () => Promise<Setting>, skipped?: string): void {
  const missing = missingPrograms(...upstreamPrograms)
  const why = skipped ?? (missing.length > 0 ? `not installed: ${missing.join(', ')}` : undefined)
  const group = why ? describe.skip : describe
  group(why ? `${title} (${why})` : title, () => {
    const scene = {} as Scene
    beforeAll(async () => {
      scene.upstreams = await borrowUpstreams()
      scene.setting = await start()
      scene.stack = scene.setting.stack
      scene.skopeo = startSkopeo()
      scene.clients = new Map<string, Client>([['skopeo', scene.skopeo]])
      if (!absent.podman) scene.clients.set('podman', await startPodman())
      if (!absent.docker) scene.clients.set('docker', await startDocker())
    }, 300_000)
    afterAll(async () => {
      const { clients, setting } = scene
      const stops = [...(clients?.values() ?? []), setting].map((one) => one?.stop())
      const ends = await Promise.allSettled(stops)
      expect(ends.filter((end) => end.status === 'rejected')).toEqual([])
    }, 120_000)

    describeMirror(scene)
    describePull(scene)
    describePush(scene)
    describeAccess(scene)
  })
}

function reached({ setting }: Scene, url: string): string {
  return setting.reach?.(url) ?? url
}

function describeMirror(scene: Scene): void {
  test('a sync is a task with progress that ends in version 1 with every tag of upstream', async () => {
    const { stack, upstreams } = scene
    await make(stack, '/remotes', localRemote('upstream', reached(scene, upstreams.open.url), upstreamName))
    await make(stack, '/repositories', { name: mirror })
    await make(stack, '/distributions', { name: mirror, basePath: mirror, repository: mirror, access: 'public' })
    const started = await startSync(stack, mirror, 'upstream')
    expect(['waiting', 'running']).toContain(started.state)
    const task = await stack.waitForTask(started.id)
    expect(task).toMatchObject({ state: 'completed', error: null, result: { version: 1, created: true } })
    for (const phase of ['tags', 'manifests', 'blobs', 'bytes']) {
      const counter = task.progress.find((one) => one.phase === phase)
      expect(counter?.done).toBeGreaterThan(0)
      expect(counter?.done).toBe(counter?.total)
    }
    const { body } = await stack.api('GET', `${repositoryPath(mirror)}/versions/1`)
    // Two images, one of them on top of the other, and a list of two.
    expect(body).toMatchObject({ number: 1, base: 0, cause: 'sync', counts: { present: { tags: 3, manifests: 5 } } })
  }, 90_000)

  test('the end of the sync is announced on JetStream with what changed', async () => {
    const repository = (await scene.stack.api('GET', repositoryPath(mirror))).body
    const event = await waitForEvent(scene.setting.events, 'SYNC', `berth.v1.sync.run.completed.${repository.id}`)
    expect(event).toMatchObject({
      specversion: '1.0',
      type: 'dev.berth.sync.run.completed.v1',
      data: { repository: mirror, version: 1, created: true, tagCounts: { added: 3, moved: 0, removed: 0 } },
    })
  }, 30_000)

  test('a sync with nothing new upstream makes no version', async () => {
    const task = await sync(scene.stack, mirror, 'upstream')
    expect(task.result).toMatchObject({ version: 1, created: false })
    expect(await versionNumbers(scene.stack, mirror)).toEqual([1, 0])
  }, 60_000)

  test('a sync from an upstream with a password takes its login from the remote', async () => {
    const { stack, upstreams } = scene
    const { user: username, password } = upstreamLogin
    const remote = localRemote('guarded', reached(scene, upstreams.guarded.url), upstreamName, { username, password })
    const made = await make(stack, '/remotes', remote)
    expect(JSON.stringify(made)).not.toContain(password)
    await make(stack, '/repositories', { name: 'from/guarded' })
    const task = await sync(stack, 'from/guarded', 'guarded')
    expect(task.result).toMatchObject({ version: 1, tagCounts: { added: 2 } })
  }, 60_000)

  test('a sync with a wrong password fails, names the host, and leaves no version', async () => {
    const { stack, upstreams } = scene
    const url = reached(scene, upstreams.guarded.url)
    const remote = localRemote('locked', url, upstreamName, { username: 'reader', password: 'wrong' })
    await make(stack, '/remotes', remote)
    await make(stack, '/repositories', { name: 'from/locked' })
    const task = await stack.waitForTask((await startSync(stack, 'from/locked', 'locked')).id)
    expect(task.state).toBe('failed')
    expect(task.error?.message).toContain(new URL(url).host)
    expect(await versionNumbers(stack, 'from/locked')).toEqual([0])
  }, 60_000)
}

function describePull(scene: Scene): void {
  for (const name of clientNames) {
    const maybe = absent[name] ? test.skip : test
    const because = absent[name] ? ` (${absent[name]})` : ''
    maybe(
      `${name} pulls by tag and by digest what upstream holds, without a login${because}`,
      async () => {
        const { stack, upstreams } = scene
        const client = scene.clients.get(name) as Client
        const { digest } = await getManifest(`${stack.url}/v2/${mirror}/manifests/layered`)
        const expected = await imageIdOf(upstreams, 'layered')
        expect(await client.pull(`${stack.host}/${mirror}:layered`)).toBe(expected)
        expect(await client.pull(`${stack.host}/${mirror}@${digest}`)).toBe(expected)
        expect(await client.pull(`${stack.host}/${mirror}:small`)).toBe(await imageIdOf(upstreams, 'small'))
      },
      copyPatienceMs,
    )
  }

  test('a multi-arch list is served byte for byte, and each platform gets its own image', async () => {
    const { stack, upstreams, skopeo } = scene
    const list = `${stack.host}/${mirror}:multi`
    expect(sha256(await skopeo.raw(list))).toBe(
      sha256(await skopeo.raw(`${upstreams.open.host}/${upstreamName}:multi`)),
    )
    const ids = []
    for (const architecture of ['amd64', 'arm64']) {
      const id = await skopeo.pullFor(architecture, list)
      expect(id).toBe(await skopeo.pullFor(architecture, `${upstreams.open.host}/${upstreamName}:multi`))
      ids.push(id)
    }
    expect(new Set(ids).size).toBe(2)
  }, 60_000)
}

function describePush(scene: Scene): void {
  test('a push without a login is refused, and makes nothing', async () => {
    const { stack, skopeo } = scene
    await expect(skopeo.push(`${stack.host}/${mirror}:small`, `${stack.host}/anonymous/app:1`)).rejects.toThrow(
      /unauthorized|denied|authentication required/i,
    )
    expect((await stack.api('GET', repositoryPath('anonymous/app'))).status).toBe(404)
  }, 60_000)

  for (const name of clientNames) {
    const maybe = absent[name] ? test.skip : test
    const because = absent[name] ? ` (${absent[name]})` : ''
    maybe(
      `${name} logs in and pushes into a new repository; the same tag again makes version 2; rolled back, version 3 serves the first image${because}`,
      async () => {
        const { stack, upstreams } = scene
        const client = scene.clients.get(name) as Client
        const repository = `pushed/${name}`
        const target = `${stack.host}/${repository}:app`
        await client.login(stack.host, stack)
        await client.push(`${stack.host}/${mirror}:small`, target)
        expect(await served(stack, repository)).toBe(await imageIdOf(upstreams, 'small'))
        expect(await versionNumbers(stack, repository)).toEqual([1, 0])

        await client.push(`${stack.host}/${mirror}:layered`, target)
        expect(await served(stack, repository)).toBe(await imageIdOf(upstreams, 'layered'))
        expect(await versionNumbers(stack, repository)).toEqual([2, 1, 0])

        const rollback = await stack.api('POST', `${repositoryPath(repository)}/rollback`, { version: 1 })
        expect(rollback).toMatchObject({ status: 201, body: { number: 3, cause: 'rollback' } })
        expect(await served(stack, repository)).toBe(await imageIdOf(upstreams, 'small'))
        expect(await client.pull(target)).toBe(await imageIdOf(upstreams, 'small'))
        await client.login(stack.host)
      },
      copyPatienceMs,
    )
  }
}

/** The image id that a tag `app` serves. */
async function served(stack: Berth, repository: string): Promise<string> {
  const { status, text } = await getManifest(`${stack.url}/v2/${repository}/manifests/app`, stack)
  expect(status).toBe(200)
  return (JSON.parse(text) as { config: { digest: string } }).config.digest
}

function describeAccess(scene: Scene): void {
  test('what was pushed is private: 401 without a login, and the client says so', async () => {
    const { stack, skopeo } = scene
    const { status, text } = await getManifest(`${stack.url}/v2/pushed/skopeo/manifests/app`)
    expect({ status, code: JSON.parse(text).errors[0].code }).toEqual({ status: 401, code: 'UNAUTHORIZED' })
    await expect(skopeo.pull(`${stack.host}/pushed/skopeo:app`)).rejects.toThrow(/unauthorized|denied/i)
  }, 30_000)

  test('the administrator gets a token as docker does, and reads with it what is private', async () => {
    const { stack } = scene
    const url = `${stack.url}/v2/pushed/skopeo/manifests/app`
    const challenge = (await fetch(url)).headers.get('www-authenticate') ?? ''
    const [, realm, service, scope] = /^Bearer realm="([^"]+)",service="([^"]+)",scope="([^"]+)"/.exec(challenge) ?? []
    expect({ realm, scope }).toEqual({ realm: `${stack.url}/token`, scope: 'repository:pushed/skopeo:pull' })
    const asked = `${realm}?service=${service}&scope=${scope}`
    const wrong = await fetch(asked, { headers: { authorization: `Basic ${btoa('admin:wrong')}` } })
    expect(wrong.status).toBe(401)
    const answer = await fetch(asked, { headers: { authorization: basic(stack) } })
    const { token } = (await answer.json()) as { token: string }
    const headers = { authorization: `Bearer ${token}`, accept: manifestTypes }
    expect((await fetch(url, { headers })).status).toBe(200)
  }, 30_000)
}
