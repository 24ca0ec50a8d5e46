import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import {
  imageOf,
  limitRequests,
  type MisbehavingUpstream,
  requireTokens,
  startMisbehavingUpstream,
  status,
} from '../misbehaving-upstream/index.ts'
import { failure, repository, type Scene, startScene } from '../testing/client.fixture.ts'
import type { Pause } from './host-gates.ts'

let scene: Scene
beforeEach(async () => {
  scene = await startScene()
})
afterEach(() => scene.close())

const resolve = (client: ReturnType<Scene['client']>) => client.resolve(repository, 'latest')
const hour = { 'retry-after': '3600' }
const minutes = { longestPauseMs: 7 * 3_600_000 }

describe('Docker Hub as it is: tokens from another host, a limit on manifests', () => {
  let issuer: MisbehavingUpstream
  beforeEach(async () => {
    issuer = await startMisbehavingUpstream({ host: 'localhost' })
  })
  afterEach(() => issuer.close())

  test.each(['docker', 'reset', 'draft', 'seconds', 'date'] as const)(
    'with %s headers, all comes right after a pause that is told of, and few requests are refused',
    async (style) => {
      const login = { username: 'reader', password: 'pl4nted' }
      const names = Array.from({ length: 10 }, (_, i) => `v${i}`)
      const images = names.map((name) => imageOf(name, 100))
      names.forEach((name, i) => scene.upstream.add(repository, name, images[i] ?? imageOf(name)))
      const limits = limitRequests(scene.upstream, {
        fits: /GET .*manifests/,
        limit: 6,
        windowSeconds: style === 'docker' ? 2 : 1,
        style,
      })
      const realm = requireTokens(scene.upstream, { issuer, login })
      const pauses: Pause[] = []
      const client = scene.client({
        credentials: login,
        tokenHosts: ['localhost'],
        concurrency: 4,
        onPause: (pause) => void pauses.push(pause),
      })
      const got = await Promise.all(names.map(async (name) => client.manifest(repository, name)))
      expect(got.map(({ digest }) => digest)).toEqual(images.map(({ manifest }) => manifest.digest))
      expect(limits.granted).toBe(10)
      // No more than were under way when it began to refuse.
      expect(limits.refused).toBeLessThanOrEqual(4)
      expect(realm.asked).toHaveLength(1)
      expect(pauses.length).toBeGreaterThan(0)
      for (const { host, until, reason } of pauses) {
        expect(host).toBe(scene.upstream.host)
        expect(Math.abs(until.getTime() - Date.now())).toBeLessThan(5_000)
        expect(reason).toMatch(/429|used up/)
      }
    },
  )
})

describe('an upstream that wants to be left alone', () => {
  test('is left alone by all clients of that account, and by them only', async () => {
    scene.upstream.when(/manifests/, status(429, { 'retry-after': '1' }), 1)
    const startedAt = performance.now()
    let one = Promise.resolve<unknown>(undefined)
    await new Promise<void>((done) => {
      one = resolve(scene.client({ onPause: () => done() }))
    })
    const two = resolve(scene.client())
    await resolve(scene.client({ credentials: { token: 'another account' } }))
    expect(performance.now() - startedAt).toBeLessThan(900)
    expect(scene.upstream.seen).toHaveLength(2)
    await Promise.all([one, two])
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_000)
  })

  test('is left alone before it refuses, when it says that its grant is used up', async () => {
    const limits = limitRequests(scene.upstream, { fits: /manifests/, limit: 2, windowSeconds: 1, style: 'reset' })
    const client = scene.client()
    for (let i = 0; i < 4; i++) await resolve(client)
    expect(limits).toEqual({ granted: 4, refused: 0 })
  })

  test('does not hold who gives up', async () => {
    scene.upstream.when(/manifests/, status(429, hour))
    const giving = new AbortController()
    const asked: Promise<Error>[] = []
    await new Promise<void>((done) => {
      const client = scene.client({ ...minutes, retries: 5, onPause: () => done() })
      for (let i = 0; i < 2; i++) asked.push(failure(client.resolve(repository, 'latest', giving.signal)))
    })
    const startedAt = performance.now()
    giving.abort(new Error('given up'))
    expect((await Promise.all(asked)).map(({ message }) => message)).toEqual(['given up', 'given up'])
    expect(performance.now() - startedAt).toBeLessThan(2_000)
    expect(scene.upstream.seen.length).toBeLessThanOrEqual(2)
  })

  test('for longer than the client waits is an error that says until when', async () => {
    scene.upstream.when(/manifests/, status(429, hour))
    const first = await failure(resolve(scene.client({ retries: 5 })))
    expect(first).toMatchObject({ code: 'rate_limited', retryAfterSeconds: 3_600 })
    // One more asks whether that still holds; the others do not even ask.
    for (let i = 0; i < 5; i++) expect(await failure(resolve(scene.client()))).toMatchObject({ code: 'rate_limited' })
    expect(scene.upstream.seen).toHaveLength(2)
    const last = await failure(resolve(scene.client()))
    expect(last.message).toContain(scene.upstream.host)
    expect(last.message).toMatch(/before \d{4}-\d\d-\d\dT/)
  })

  test('and then changes its mind is used again at once, by all who waited to see', async () => {
    scene.upstream.when(/manifests/, status(429, hour))
    await failure(resolve(scene.client()))
    scene.upstream.mend()
    const all = await Promise.all(Array.from({ length: 5 }, () => resolve(scene.client())))
    expect(all.every(Boolean)).toBe(true)
  })

  test('without naming a time gets longer and longer pauses', async () => {
    scene.upstream.when(/manifests/, status(429), 2)
    const startedAt = performance.now()
    await resolve(scene.client({ retries: 3 }))
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(125 + 250)
  })

  test('with 408 is asked again', async () => {
    scene.upstream.when(/manifests/, status(408), 1)
    expect(await resolve(scene.client())).toBeDefined()
  })
})

test('a rate holds for all clients of a host together', async () => {
  const clients = [scene.client({ ratePerSecond: 20 }), scene.client({ ratePerSecond: 20 })]
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: 10 }, (_, i) => resolve(clients[i % 2] ?? scene.client())))
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(9 * 50 - 10)
})
