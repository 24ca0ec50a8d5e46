import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { berthTarget } from '../conformance/berth.ts'
import { newManifest } from '../conformance/manifests.ts'
import { describe as descriptor, digestOf, octets, pathOf, Wire, withDigest } from '../conformance/wire.ts'

const layerType = 'application/vnd.oci.image.layer.v1.tar'

describe('pushes at once', () => {
  const berth = withBerth()
  let wire: Wire

  beforeAll(async () => {
    wire = new Wire(berthTarget(berth))
  }, 60_000)
  afterAll(async () => {
    wire?.close()
  }, 30_000)

  const api = async (path: string) => JSON.parse((await wire.send('GET', `/api/v1${path}`)).body.toString())
  const versionsOf = async (name: string) =>
    (await api(`/repositories/${encodeURIComponent(name)}/versions?limit=1000`)).items as {
      number: number
      base: number
      counts: { present: { tags: number } }
    }[]

  test('the first pushes to a new repository all succeed, and make one repository', async () => {
    const layers = Array.from({ length: 20 }, () => randomBytes(2_000))
    const digests = await Promise.all(layers.map((layer) => wire.push('at-once/first', layer)))
    for (const digest of digests)
      expect((await wire.send('HEAD', `/v2/at-once/first/blobs/${digest}`)).status).toBe(200)
    expect((await api('/repositories?q=at-once/first')).items).toHaveLength(1)
  })

  test('twenty clients that share layers push images into one repository; each makes one version, none is lost', async () => {
    const shared = [randomBytes(50_000), randomBytes(50_000)]
    const pushOne = async (i: number) => {
      const repository = 'at-once/shared'
      const manifest = await newManifest(wire, repository)
      for (const layer of shared) await wire.push(repository, layer)
      const layers = [...(manifest.layers as object[]), ...shared.map((layer) => descriptor(layer, layerType))]
      const { reply } = await wire.pushManifest(repository, { ...manifest, layers }, `client-${i}`)
      expect(reply.status).toBe(201)
      // What was answered is served, whatever else is pushed.
      expect((await wire.send('GET', `/v2/${repository}/manifests/client-${i}`)).status).toBe(200)
    }
    await Promise.all(Array.from({ length: 20 }, (_, i) => pushOne(i)))
    const versions = await versionsOf('at-once/shared')
    expect(versions.map(({ number }) => number)).toEqual(Array.from({ length: 21 }, (_, i) => 20 - i))
    for (const { number, counts } of versions) expect(counts.present.tags).toBe(number)
  })

  test('fifty moves of one tag make fifty versions, and the last one is served', async () => {
    const repository = 'at-once/tag'
    const manifest = await newManifest(wire, repository)
    const pushes = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        wire.pushManifest(repository, { ...manifest, annotations: { i: String(i) } }, 'latest'),
      ),
    )
    for (const { reply } of pushes) expect(reply.status).toBe(201)
    const [latest] = await versionsOf(repository)
    expect(latest?.number).toBe(50)
    const content = await api(`/repositories/${encodeURIComponent(repository)}/versions/50/content?type=tag`)
    const served = await wire.send('HEAD', `/v2/${repository}/manifests/latest`)
    expect(served.headers['docker-content-digest']).toBe(content.items[0].digest)
    expect(pushes.map(({ digest }) => digest)).toContain(served.headers['docker-content-digest'])
  })

  test('a hundred small changes at once make a hundred versions, and none is lost or turned away', async () => {
    const repository = 'at-once/changes'
    const { digest } = await wire.pushManifest(repository, await newManifest(wire, repository), 'first')
    const headers = { 'content-type': 'application/json' }
    const body = Buffer.from(JSON.stringify({ digest }))
    const path = (i: number) => `/api/v1/repositories/${encodeURIComponent(repository)}/tags/t${i}`
    const replies = await Promise.all(
      Array.from({ length: 100 }, (_, i) => wire.send('PUT', path(i), { headers, body })),
    )
    expect(new Set(replies.map((reply) => reply.status))).toEqual(new Set([201]))
    const numbers = replies.map((reply) => JSON.parse(reply.body.toString()).number as number)
    expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 2))
    const [latest] = await versionsOf(repository)
    expect(latest).toMatchObject({ number: 101, counts: { present: { tags: 101 } } })
  })

  test('one fresh layer pushed sixteen times at once is accepted each time, and stored once', async () => {
    const bytes = randomBytes(300_000)
    const digest = digestOf(bytes)
    await Promise.all(Array.from({ length: 16 }, (_, i) => wire.push(`at-once/layer-${i}`, bytes)))
    for (let i = 0; i < 16; i++) {
      const got = await wire.send('GET', `/v2/at-once/layer-${i}/blobs/${digest}`)
      expect(got.body.equals(bytes)).toBe(true)
    }
  })

  test('a chunk that is sent several times at once counts once', async () => {
    const chunk = randomBytes(100)
    for (let round = 0; round < 40; round++) {
      const place = pathOf(await wire.begin('at-once/chunk'))
      const headers = { ...octets, 'content-range': '0-99' }
      await Promise.all(Array.from({ length: 6 }, () => wire.send('PATCH', place, { headers, body: chunk })))
      expect((await wire.send('GET', place)).headers.range).toBe('0-99')
    }
  })

  test('an upload of one small chunk that is ended several times at once is told each time that it has become its blob', async () => {
    for (let round = 0; round < 20; round++) {
      const bytes = randomBytes(100)
      const place = pathOf(await wire.begin('at-once/ends'))
      expect((await wire.send('PATCH', place, { headers: octets, body: bytes })).status).toBe(202)
      const end = () => wire.send('PUT', withDigest(place, digestOf(bytes)))
      const first = await Promise.all([end(), end(), end()])
      expect([...first, await end()].map(({ status }) => status)).toEqual([201, 201, 201, 201])
    }
  })

  test('small chunks without a range that are sent at once are each answered with where they ended, or are told that they do not count', async () => {
    const chunks = Array.from({ length: 6 }, () => randomBytes(100))
    for (let round = 0; round < 20; round++) {
      const place = pathOf(await wire.begin('at-once/chunks'))
      const answers = await Promise.all(chunks.map((body) => wire.send('PATCH', place, { headers: octets, body })))
      const counted = answers.flatMap(({ status, headers }, at) =>
        status === 202 ? [{ bytes: chunks[at] as Buffer, end: Number(String(headers.range).split('-')[1]) }] : [],
      )
      expect(answers.every(({ status }) => status === 202 || status === 409)).toBe(true)
      const whole = Buffer.concat(counted.toSorted((a, b) => a.end - b.end).map(({ bytes }) => bytes))
      expect((await wire.send('GET', place)).headers.range).toBe(`0-${whole.length - 1}`)
      expect((await wire.send('PUT', withDigest(place, digestOf(whole)))).status).toBe(201)
    }
  })

  test('two requests that end one upload both get 201', async () => {
    const bytes = randomBytes(100_000)
    const patch = await wire.send('PATCH', pathOf(await wire.begin('at-once/end')), { headers: octets, body: bytes })
    const end = () => wire.send('PUT', withDigest(pathOf(patch.headers.location), digestOf(bytes)))
    const [first, second] = await Promise.all([end(), end()])
    expect([first.status, second.status]).toEqual([201, 201])
    expect((await end()).status).toBe(201)
  })

  test('who knows only the digest of a private blob cannot get it by ending an upload twice at once', async () => {
    const secret = await wire.push('at-once/private', randomBytes(1_000))
    for (let i = 0; i < 10; i++) {
      const patch = await wire.send('PATCH', pathOf(await wire.begin('at-once/thief')), {
        headers: octets,
        body: randomBytes(10),
      })
      const ends = Array.from({ length: 4 }, () => wire.send('PUT', withDigest(pathOf(patch.headers.location), secret)))
      for (const { status } of await Promise.all(ends)) expect([400, 404]).toContain(status)
    }
    expect((await wire.send('HEAD', `/v2/at-once/thief/blobs/${secret}`)).status).toBe(404)
  })

  test('a session is nobody else’s: another repository does not find it', async () => {
    const location = pathOf(await wire.begin('at-once/mine'))
    const foreign = location.replace('at-once/mine', 'at-once/yours')
    for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
      const reply = await wire.send(method, withDigest(foreign, digestOf(Buffer.alloc(0))))
      expect(reply.status).toBe(404)
    }
    expect((await wire.send('GET', location)).status).toBe(204)
  })
})
