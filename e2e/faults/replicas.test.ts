import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Replica, registryPort, startReplica } from '../berth/replicas.ts'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { startPodman } from '../clients/podman.ts'
import { startSkopeo } from '../clients/skopeo.ts'
import { everything } from '../conformance/berth.ts'
import { newManifest } from '../conformance/manifests.ts'
import { digestOf, octets, pathOf, Wire, withDigest } from '../conformance/wire.ts'
import { pushImage, sharedImages } from '../servers/images.ts'
import { missingPrograms } from '../servers/programs.ts'
import { type RoundRobin, startRoundRobin } from '../servers/round-robin.ts'
import { moveTag } from '../soak/moving-tag.ts'

// A share of `npm run soak -- replicas`, which moves it ten thousand times.
const moves = 120 * Number(process.env.BERTH_TEST_RUNS ?? 1)

describe('two replicas of registry behind a round-robin proxy', () => {
  const stack = withBerth({ own: true, env: { BERTH_PROCESSES: 'true' } })
  let replica: Replica
  let proxy: RoundRobin
  let one: Wire
  let other: Wire
  let both: Wire

  beforeAll(async () => {
    replica = await startReplica(stack)
    const first = registryPort(stack)
    proxy = await startRoundRobin({ replicas: [first, replica.port], front: stack.port })
    const wireTo = (name: string, url: string) =>
      new Wire({ name, url, headers: { authorization: basic(stack) }, supports: everything })
    one = wireTo('first replica', `http://localhost:${first}`)
    other = wireTo('second replica', replica.url)
    both = wireTo('proxy', proxy.url)
  }, 120_000)
  afterAll(async () => {
    for (const wire of [one, other, both]) wire?.close()
    await proxy?.stop()
    await replica?.stop()
  }, 60_000)

  /** Begins an upload here and answers its path, which is the same on every replica. */
  const begin = async (wire: Wire, repository: string) => pathOf(await wire.begin(repository))
  const append = (wire: Wire, place: string, bytes: Buffer, from: number) =>
    wire.send('PATCH', place, {
      headers: { ...octets, 'content-range': `${from}-${from + bytes.length - 1}` },
      body: bytes,
    })
  const expectServed = async (wire: Wire, repository: string, bytes: Buffer) => {
    const got = await wire.send('GET', `/v2/${repository}/blobs/${digestOf(bytes)}`)
    expect(got.status).toBe(200)
    expect(got.body.equals(bytes)).toBe(true)
  }

  test(`what one answered with 201 the other serves at once: a tag moves ${moves} times, never stale, never 404`, async () => {
    const repository = 'replicas/tag'
    const manifest = await newManifest(one, repository)
    expect(await moveTag({ replicas: [one, other], repository, manifest, moves })).toEqual([])
  }, 120_000)

  test('an upload begun on one is continued and finished on the other', async () => {
    const bytes = randomBytes(300_000)
    const place = await begin(one, 'replicas/upload')
    expect((await append(one, place, bytes.subarray(0, 100_000), 0)).status).toBe(202)
    expect((await other.send('GET', place)).headers.range).toBe('0-99999')
    expect((await append(other, place, bytes.subarray(100_000, 200_000), 100_000)).status).toBe(202)
    const last = { headers: { ...octets, 'content-range': '200000-299999' }, body: bytes.subarray(200_000) }
    expect((await other.send('PUT', withDigest(place, digestOf(bytes)), last)).status).toBe(201)
    await expectServed(one, 'replicas/upload', bytes)
    await expectServed(other, 'replicas/upload', bytes)
  })

  test('every request of an upload may go to another replica; twenty such uploads at once succeed', async () => {
    const before = proxy.given()
    const upload = async () => {
      const bytes = randomBytes(50_000)
      const place = await begin(both, 'replicas/turns')
      for (let from = 0; from < bytes.length; from += 10_000)
        expect((await append(both, place, bytes.subarray(from, from + 10_000), from)).status).toBe(202)
      expect((await both.send('PUT', withDigest(place, digestOf(bytes)))).status).toBe(201)
      await expectServed(both, 'replicas/turns', bytes)
    }
    await Promise.all(Array.from({ length: 20 }, upload))
    // POST, five PATCH, PUT and GET for each: half of them to each replica.
    expect(proxy.given().map((count, i) => count - (before[i] ?? 0))).toEqual([80, 80])
  }, 60_000)

  test('a chunk that is out of order is refused by both with where to go on, and the upload lives on', async () => {
    const bytes = randomBytes(2_000)
    const place = await begin(one, 'replicas/order')
    expect((await append(one, place, bytes.subarray(0, 1_000), 0)).status).toBe(202)
    for (const wire of [other, one]) {
      for (const from of [0, 500, 1_500]) {
        const refused = await append(wire, place, bytes.subarray(1_000), from)
        expect(refused).toMatchObject({ status: 416, headers: { range: '0-999', location: place } })
      }
    }
    expect((await append(other, place, bytes.subarray(1_000), 1_000)).status).toBe(202)
    expect((await one.send('PUT', withDigest(place, digestOf(bytes)))).status).toBe(201)
    await expectServed(other, 'replicas/order', bytes)
  })

  test('the same chunk sent to both at once counts once', async () => {
    const chunk = randomBytes(5_000)
    for (let round = 0; round < 20; round++) {
      const place = await begin(one, 'replicas/twice')
      const answers = await Promise.all([append(one, place, chunk, 0), append(other, place, chunk, 0)])
      const statuses = answers.map(({ status }) => status)
      expect(statuses).toContain(202)
      // The loser hears that the chunk is there already, or that another took over.
      for (const status of statuses) expect([202, 409, 416]).toContain(status)
      expect((await both.send('GET', place)).headers.range).toBe('0-4999')
    }
  }, 60_000)

  test('an upload that both are told to end at once gets 201 from both', async () => {
    for (let round = 0; round < 20; round++) {
      const bytes = randomBytes(20_000)
      const place = await begin(one, 'replicas/end')
      expect((await append(other, place, bytes, 0)).status).toBe(202)
      const end = withDigest(place, digestOf(bytes))
      const answers = await Promise.all([one.send('PUT', end), other.send('PUT', end)])
      expect(answers.map(({ status }) => status)).toEqual([201, 201])
      await expectServed(round % 2 === 0 ? one : other, 'replicas/end', bytes)
    }
  }, 60_000)

  test('what was deleted through one is gone at the other at once', async () => {
    const repository = 'replicas/delete'
    for (let round = 0; round < 20; round++) {
      const [writer, reader] = round % 2 === 0 ? [one, other] : [other, one]
      const manifest = await newManifest(writer, repository)
      const { digest } = await writer.pushManifest(repository, manifest, 'going')
      const blob = await writer.push(repository, randomBytes(100))
      const status = async (wire: Wire, path: string) => (await wire.send('HEAD', `/v2/${repository}/${path}`)).status
      for (const path of ['manifests/going', `manifests/${digest}`, `blobs/${blob}`])
        expect(await status(reader, path)).toBe(200)
      expect((await writer.send('DELETE', `/v2/${repository}/manifests/going`)).status).toBe(202)
      expect(await status(reader, 'manifests/going')).toBe(404)
      expect((await writer.send('DELETE', `/v2/${repository}/manifests/${digest}`)).status).toBe(202)
      expect(await status(reader, `manifests/${digest}`)).toBe(404)
      expect((await writer.send('DELETE', `/v2/${repository}/blobs/${blob}`)).status).toBe(202)
      expect(await status(reader, `blobs/${blob}`)).toBe(404)
    }
  }, 60_000)

  const missing = missingPrograms('skopeo', 'podman', 'buildah', 'busybox')
  const maybe = missing.length > 0 ? test.skip : test
  const because = missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''
  maybe(
    `skopeo and podman push and pull through the proxy${because}`,
    async () => {
      const [skopeo, podman] = [startSkopeo(), await startPodman()]
      try {
        const images = await sharedImages()
        const source = `${proxy.host}/replicas/clients:layered`
        await pushImage(images, 'layered', source, stack)
        await pushImage(images, 'multi', `${proxy.host}/replicas/clients:multi`, stack)
        const before = proxy.given()
        for (const client of [skopeo, podman]) {
          await client.login(proxy.host, stack)
          const id = await client.pull(source)
          const target = `${proxy.host}/replicas/by-${client.name}:layered`
          await client.push(source, target)
          expect(await client.pull(target)).toBe(id)
        }
        for (const [i, count] of proxy.given().entries()) expect(count).toBeGreaterThan((before[i] ?? 0) + 5)
        await skopeo.pullFor('arm64', `${proxy.host}/replicas/clients:multi`)
      } finally {
        await Promise.all([skopeo.stop(), podman.stop()])
      }
    },
    120_000,
  )
})
