import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { describe, digestOf, indexType, manifestType, octets, pathOf } from '../conformance/wire.ts'
import { freshImage, give, type Place, type Replay, startReplay } from './replay.ts'

const repository = 'sequences/pulled'
const tagCount = 60

/** What clients send to pull and to look (docs/protocol.md#request-sequences). */
export function pullSequences(place: () => Place): void {
  const layer = randomBytes(1 << 20)
  const image = freshImage()
  let writer: Replay

  beforeAll(async () => {
    writer = startReplay(place(), 'writer')
    await give(writer, repository, image, ...Array.from({ length: tagCount }, (_, i) => `v${i + 100}`))
    await writer.must(201, 'POST', `/v2/${repository}/blobs/uploads/?digest=${digestOf(layer)}`, {
      headers: octets,
      body: layer,
    })
    // Only who may push sees what no manifest names.
    const layers = [describe(layer, 'application/vnd.oci.image.layer.v1.tar')]
    const naming = Buffer.from(JSON.stringify({ ...JSON.parse(image.manifest.toString()), layers }))
    await writer.must(201, 'PUT', `/v2/${repository}/manifests/${digestOf(naming)}`, {
      headers: { 'content-type': manifestType },
      body: naming,
    })
  }, 60_000)
  afterAll(() => writer?.close())

  const replay = (title: string, agent: string, run: (client: Replay) => Promise<void>) =>
    test(title, async () => {
      const client = startReplay(place(), agent)
      try {
        await run(client)
      } finally {
        client.close()
      }
    })
  const blob = `/v2/${repository}/blobs/${digestOf(layer)}`

  replay(
    'containerd: HEAD by tag, GET by digest, blobs by open ranges at once, resumed after a cut',
    'containerd/2.1.0',
    async (client) => {
      const accept = `application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, ${manifestType}, ${indexType}, */*`
      const head = await client.must(200, 'HEAD', `/v2/${repository}/manifests/v100?ns=docker.io`, {
        headers: { accept },
      })
      expect(head.headers).toMatchObject({
        'docker-content-digest': image.digest,
        'content-length': String(image.manifest.length),
      })
      const got = await client.must(200, 'GET', `/v2/${repository}/manifests/${image.digest}?ns=docker.io`, {
        headers: { accept },
      })
      expect(digestOf(got.body)).toBe(image.digest)
      // It would unpack whatever came encoded, and it asks like this for what is stored compressed.
      const encodings = { 'accept-encoding': 'zstd, gzip, deflate' }
      const whole = await client.must(206, 'GET', blob, { headers: { ...encodings, range: 'bytes=0-' } })
      expect(whole.headers).toMatchObject({
        'content-range': `bytes 0-${layer.length - 1}/${layer.length}`,
        'content-length': String(layer.length),
      })
      expect(whole.headers['content-encoding']).toBeUndefined()
      expect(whole.body.equals(layer)).toBe(true)
      const quarter = layer.length / 4
      const parts = await Promise.all(
        [0, 1, 2, 3].map((i) =>
          client.must(206, 'GET', blob, {
            headers: { ...encodings, range: `bytes=${i * quarter}-${(i + 1) * quarter - 1}` },
          }),
        ),
      )
      expect(Buffer.concat(parts.map(({ body }) => body)).equals(layer)).toBe(true)
      const cut = await readAndLeave(place(), blob, 300_000)
      const rest = await client.must(206, 'GET', blob, { headers: { ...encodings, range: `bytes=${cut.length}-` } })
      expect(Buffer.concat([cut, rest.body]).equals(layer)).toBe(true)
    },
  )

  replay(
    'stargz, SOCI and nydus: the footer, the table, then many small ranges',
    'stargz-snapshotter',
    async (client) => {
      const { headers } = await client.must(206, 'GET', blob, { headers: { range: 'bytes=0-1' } })
      expect(headers['content-range']).toBe(`bytes 0-1/${layer.length}`)
      expect(
        (await client.must(206, 'GET', blob, { headers: { range: 'bytes=-51' } })).body.equals(layer.subarray(-51)),
      ).toBe(true)
      const starts = Array.from({ length: 200 }, (_, i) => i * 5_000)
      const chunks = await Promise.all(
        starts.map((start) =>
          client.must(206, 'GET', blob, {
            headers: { range: `bytes=${start}-${start + 4_095}`, 'accept-encoding': 'identity' },
          }),
        ),
      )
      for (const [i, { body }] of chunks.entries()) {
        const start = starts[i] ?? 0
        expect(body.equals(layer.subarray(start, start + 4_096))).toBe(true)
      }
      await client.must(416, 'GET', blob, { headers: { range: `bytes=${layer.length}-` } })
    },
  )

  replay(
    'Renovate, Flux and Argo CD: pages of tags, HEADs in bulk, 304 for what they know, the configuration',
    'renovate/39',
    async (client) => {
      const tags: string[] = []
      for (let page: string | undefined = `/v2/${repository}/tags/list?n=25`; page; ) {
        const { headers, body } = await client.must(200, 'GET', page)
        tags.push(...(JSON.parse(body.toString()) as { tags: string[] }).tags)
        const next = /<([^>]+)>; rel="next"/.exec(String(headers.link ?? ''))?.[1]
        page = next === undefined ? undefined : pathOf(next)
      }
      expect(tags).toEqual(Array.from({ length: tagCount }, (_, i) => `v${i + 100}`))
      const heads = await Promise.all(tags.map((tag) => client.must(200, 'HEAD', `/v2/${repository}/manifests/${tag}`)))
      const known = await Promise.all(
        heads.map(({ headers }, i) =>
          client.ask('GET', `/v2/${repository}/manifests/${tags[i]}`, {
            headers: { 'if-none-match': headers.etag ?? '' },
          }),
        ),
      )
      for (const { status, body } of known) expect({ status, bytes: body.length }).toEqual({ status: 304, bytes: 0 })
      const config = await client.must(200, 'GET', `/v2/${repository}/blobs/${digestOf(image.config)}`)
      expect(config.body.equals(image.config)).toBe(true)
    },
  )

  replay(
    'Trivy, Kyverno and cosign: referrers by type, and old signature tags that are not there',
    'cosign/v2',
    async (client) => {
      const subject = describe(image.manifest, manifestType)
      const type = 'application/vnd.dev.sigstore.bundle.v0.3+json'
      const signature = freshImage({ subject, artifactType: type })
      await give(writer, repository, signature, signature.digest)
      await client.must(404, 'GET', `/v2/${repository}/manifests/${image.digest.replace(':', '-')}.sig`)
      const listed = await client.must(
        200,
        'GET',
        `/v2/${repository}/referrers/${image.digest}?artifactType=${encodeURIComponent(type)}`,
      )
      expect(listed.headers).toMatchObject({ 'content-type': indexType, 'oci-filters-applied': 'artifactType' })
      expect(JSON.parse(listed.body.toString()).manifests).toMatchObject([
        { digest: signature.digest, artifactType: type },
      ])
    },
  )
}

/** Reads some of an answer over a connection of its own and leaves; answers the bytes of the body that came. */
function readAndLeave(place: Place, path: string, least: number): Promise<Buffer> {
  const { hostname, port } = new URL(place.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    let came = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('data', (chunk: Buffer) => {
      came = Buffer.concat([came, chunk])
      const body = came.indexOf('\r\n\r\n') + 4
      if (body < 4 || came.length - body < least) return
      socket.removeAllListeners('data').destroy()
      resolve(came.subarray(body))
    })
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: ${place.authorization}\r\n\r\n`)
  })
}
