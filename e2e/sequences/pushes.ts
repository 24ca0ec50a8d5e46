import { randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { describe, digestOf, indexType, manifestType, octets, pathOf } from '../conformance/wire.ts'
import { closing, freshImage, give, type Place, type Replay, startReplay, streamed } from './replay.ts'

const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json'
const typed = (type: string) => ({ 'content-type': type })

/** What clients send to push (docs/protocol.md#request-sequences). Each ends by reading back what it pushed. */
export function pushSequences(place: () => Place): void {
  const replay = (title: string, agent: string, run: (client: Replay, repository: string) => Promise<void>) =>
    test(title, async () => {
      const client = startReplay(place(), agent, { 'accept-encoding': 'gzip' })
      try {
        await run(client, `sequences/${agent.split('/')[0]?.toLowerCase()}-${randomBytes(3).toString('hex')}`)
        // No client of these would go on after an error of the server.
        expect(client.statuses().filter((status) => status >= 500)).toEqual([])
      } finally {
        client.close()
      }
    })
  const expectImage = async (client: Replay, repository: string, reference: string, manifest: Buffer) => {
    const got = await client.must(200, 'GET', `/v2/${repository}/manifests/${reference}`)
    expect(got.body.equals(manifest)).toBe(true)
  }

  replay(
    'docker push: ping, token, HEAD, POST, PATCH without a length, PUT, manifest by tag',
    'docker/20.10.24',
    async (client, repository) => {
      const image = freshImage({}, dockerManifest)
      const blobs = `/v2/${repository}/blobs`
      await client.must(200, 'GET', '/v2/')
      expect(client.statuses()).toEqual([401, 200])
      for (const layer of [...image.layers, image.config]) {
        await client.must(404, 'HEAD', `${blobs}/${digestOf(layer)}`)
        const begun = await client.must(202, 'POST', `${blobs}/uploads/`)
        expect(begun.headers['docker-upload-uuid']).toBeTruthy()
        const patched = await client.must(202, 'PATCH', pathOf(begun.headers.location), { body: streamed(layer) })
        expect(patched.headers.range).toBe(`0-${layer.length - 1}`)
        const put = await client.must(201, 'PUT', closing(patched.headers.location, digestOf(layer)))
        expect(put.headers['docker-content-digest']).toBe(digestOf(layer))
        await client.must(200, 'HEAD', `${blobs}/${digestOf(layer)}`)
      }
      const put = await client.must(201, 'PUT', `/v2/${repository}/manifests/latest`, {
        headers: typed(dockerManifest),
        body: image.manifest,
      })
      expect(put.headers['docker-content-digest']).toBe(image.digest)
      // The second push finds all of it and mounts into another repository.
      const other = `${repository}-copy`
      const [layer = Buffer.alloc(0)] = image.layers
      const mount = await client.ask(
        'POST',
        `/v2/${other}/blobs/uploads/?from=${encodeURIComponent(repository)}&mount=${digestOf(layer)}`,
      )
      expect([201, 202]).toContain(mount.status)
      await expectImage(client, repository, 'latest', image.manifest)
    },
  )

  replay(
    'docker with the containerd store: HEAD manifest, POST, PUT whole, manifest by digest and by tag',
    'containerd/1.7.24',
    async (client, repository) => {
      const image = freshImage()
      const accept = { accept: `${manifestType}, */*` }
      await client.must(404, 'HEAD', `/v2/${repository}/manifests/latest`, { headers: accept })
      for (const blob of [...image.layers, image.config]) {
        await client.must(404, 'HEAD', `/v2/${repository}/blobs/${digestOf(blob)}`, { headers: accept })
        const begun = await client.must(202, 'POST', `/v2/${repository}/blobs/uploads/`)
        await client.must(201, 'PUT', closing(begun.headers.location, digestOf(blob)), { headers: octets, body: blob })
      }
      for (const reference of [image.digest, 'latest'])
        await client.must(201, 'PUT', `/v2/${repository}/manifests/${reference}`, {
          headers: typed(manifestType),
          body: image.manifest,
        })
      const head = await client.must(200, 'HEAD', `/v2/${repository}/manifests/latest`, { headers: accept })
      expect(head.headers).toMatchObject({
        'docker-content-digest': image.digest,
        'content-type': manifestType,
        'content-length': String(image.manifest.length),
      })
      await expectImage(client, repository, image.digest, image.manifest)
    },
  )

  replay(
    'podman and skopeo push: a mount that is declined is cancelled, then PATCH with a length',
    'containers/5.23.1',
    async (client, repository) => {
      const image = freshImage()
      await client.must(200, 'GET', '/v2/')
      for (const [i, blob] of [...image.layers, image.config].entries()) {
        const digest = digestOf(blob)
        await client.must(404, 'HEAD', `/v2/${repository}/blobs/${digest}`)
        const mount = `/v2/${repository}/blobs/uploads/?from=${encodeURIComponent('elsewhere/app')}&mount=${encodeURIComponent(digest)}`
        const declined = await client.must(202, 'POST', mount)
        await client.must(204, 'DELETE', pathOf(declined.headers.location))
        const begun = await client.must(202, 'POST', `/v2/${repository}/blobs/uploads/`)
        const patched = await client.must(202, 'PATCH', pathOf(begun.headers.location), {
          headers: octets,
          body: i === 0 ? blob : streamed(blob),
        })
        await client.must(201, 'PUT', closing(patched.headers.location, digest), { headers: octets })
      }
      await client.must(201, 'PUT', `/v2/${repository}/manifests/v1`, {
        headers: typed(manifestType),
        body: image.manifest,
      })
      await expectImage(client, repository, 'v1', image.manifest)
    },
  )

  replay(
    'a mount that cannot be: whatever is wrong with it, the upload that is offered takes the blob',
    'mounter/1',
    async (client, repository) => {
      const [blob = Buffer.alloc(0)] = freshImage().layers
      const uploads = `/v2/${repository}/blobs/uploads/`
      const wrong = [
        'mount=',
        'mount=sha256:short',
        'mount=md5:0',
        `mount=${digestOf(blob).toUpperCase()}`,
        'mount=latest',
      ]
      const queries = [
        ...wrong.flatMap((mount) => [mount, `${mount}&from=elsewhere/app`]),
        `mount=${digestOf(blob)}`,
        ...['elsewhere/app', 'Not/A/Name', ''].map((from) => `mount=${digestOf(blob)}&from=${from}`),
      ]
      for (const query of queries) {
        const begun = await client.must(202, 'POST', `${uploads}?${query}`)
        await client.must(204, 'GET', pathOf(begun.headers.location))
      }
      const begun = await client.must(202, 'POST', `${uploads}?mount=sha256:short&from=elsewhere/app`)
      await client.must(201, 'PUT', closing(begun.headers.location, digestOf(blob)), { headers: octets, body: blob })
      const [other = Buffer.alloc(0)] = freshImage().layers
      const whole = `${uploads}?mount=${digestOf(other)}&from=elsewhere/app&digest=${digestOf(other)}`
      await client.must(201, 'POST', whole, { headers: octets, body: other })
      for (const bytes of [blob, other])
        expect((await client.must(200, 'GET', `/v2/${repository}/blobs/${digestOf(bytes)}`)).body.equals(bytes)).toBe(
          true,
        )
    },
  )

  replay(
    'crane, ko, kaniko and cosign: permission is probed by POST and DELETE, the POST has a type, one PATCH',
    'go-containerregistry/v0.20.3',
    async (client, repository) => {
      const image = freshImage()
      await client.must(200, 'GET', '/v2/')
      const probe = await client.must(202, 'POST', `/v2/${repository}/blobs/uploads/`, {
        headers: typed('application/json'),
      })
      await client.must(204, 'DELETE', pathOf(probe.headers.location))
      await client.must(404, 'DELETE', pathOf(probe.headers.location))
      for (const blob of [...image.layers, image.config]) {
        await client.must(404, 'HEAD', `/v2/${repository}/blobs/${digestOf(blob)}`)
        const begun = await client.must(
          202,
          'POST',
          `/v2/${repository}/blobs/uploads/?mount=${encodeURIComponent(digestOf(blob))}&origin=example.com`,
          { headers: typed('application/json') },
        )
        const patched = await client.must(202, 'PATCH', pathOf(begun.headers.location), {
          headers: octets,
          body: streamed(blob),
        })
        await client.must(201, 'PUT', closing(patched.headers.location, digestOf(blob)), { headers: octets })
      }
      await client.must(404, 'HEAD', `/v2/${repository}/manifests/v1`, { headers: { accept: manifestType } })
      await client.must(201, 'PUT', `/v2/${repository}/manifests/v1`, {
        headers: typed(manifestType),
        body: image.manifest,
      })
      await expectImage(client, repository, 'v1', image.manifest)
    },
  )

  replay(
    'oras and helm: PUT whole, manifest by digest and tag, and the probe for the referrers API',
    'oras-go',
    async (client, repository) => {
      const probe = `/v2/${repository}/referrers/sha256:${'0'.repeat(64)}`
      const zero = await client.must(200, 'GET', probe)
      expect(zero.headers['content-type']).toBe(indexType)
      const image = freshImage({ artifactType: 'application/vnd.cncf.helm.config.v1+json' })
      for (const blob of [...image.layers, image.config]) {
        await client.must(404, 'HEAD', `/v2/${repository}/blobs/${digestOf(blob)}`)
        const begun = await client.must(202, 'POST', `/v2/${repository}/blobs/uploads/`)
        await client.must(201, 'PUT', closing(begun.headers.location, digestOf(blob)), { headers: octets, body: blob })
      }
      for (const reference of [image.digest, '1.0.0_build'])
        await client.must(201, 'PUT', `/v2/${repository}/manifests/${reference}`, {
          headers: typed(manifestType),
          body: image.manifest,
        })
      const head = await client.must(200, 'HEAD', `/v2/${repository}/blobs/${digestOf(image.config)}`)
      expect(head.headers['accept-ranges']).toBe('bytes')
      await expectImage(client, repository, '1.0.0_build', image.manifest)
    },
  )

  replay(
    'regctl: PUT whole, a large blob in chunks after a chunk out of order, several tags at once',
    'regclient/regctl',
    async (client, repository) => {
      const image = freshImage()
      const [small = Buffer.alloc(0), large = Buffer.alloc(0)] = image.layers
      for (const blob of [small, image.config]) {
        await client.must(404, 'HEAD', `/v2/${repository}/blobs/${digestOf(blob)}`)
        const begun = await client.must(202, 'POST', `/v2/${repository}/blobs/uploads/`)
        await client.must(201, 'PUT', closing(begun.headers.location, digestOf(blob)), { headers: octets, body: blob })
      }
      const begun = await client.must(202, 'POST', `/v2/${repository}/blobs/uploads/`)
      let location = pathOf(begun.headers.location)
      const chunk = (from: number, to: number) => ({
        headers: { ...octets, 'content-range': `${from}-${to - 1}` },
        body: large.subarray(from, to),
      })
      for (let from = 0; from < large.length; from += 20_000) {
        const refused = await client.must(416, 'PATCH', location, chunk(from + 1, Math.min(from + 101, large.length)))
        // It goes on from what both of these say.
        expect(refused.headers.range).toBe(`0-${Math.max(0, from - 1)}`)
        location = pathOf(refused.headers.location)
        const taken = await client.must(202, 'PATCH', location, chunk(from, Math.min(from + 20_000, large.length)))
        location = pathOf(taken.headers.location)
      }
      await client.must(201, 'PUT', closing(location, digestOf(large)), { headers: octets })
      const tags = ['v1', 'v1.2', 'v1.2.3']
      const query = tags.map((tag) => `tag=${tag}`).join('&')
      const put = await client.must(201, 'PUT', `/v2/${repository}/manifests/${image.digest}?${query}`, {
        headers: typed(manifestType),
        body: image.manifest,
      })
      expect(put.headers['oci-tag']).toBe(tags.join(', '))
      for (const tag of tags) await expectImage(client, repository, tag, image.manifest)
    },
  )

  replay(
    'BuildKit: many HEADs at once, mounts with from, an index with unknown platforms, a cache',
    'buildkit/v0.19',
    async (client, repository) => {
      const base = freshImage()
      await give(client, `${repository}-base`, base, 'latest')
      const own = freshImage()
      const heads = [...base.layers, ...own.layers].flatMap((layer) => Array<string>(15).fill(digestOf(layer)))
      const answers = await Promise.all(heads.map((digest) => client.ask('HEAD', `/v2/${repository}/blobs/${digest}`)))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]))
      client.wants(`repository:${repository}-base:pull`)
      for (const layer of base.layers)
        await client.must(
          201,
          'POST',
          `/v2/${repository}/blobs/uploads/?mount=${digestOf(layer)}&from=${encodeURIComponent(`${repository}-base`)}`,
        )
      await give(client, repository, own, own.digest)
      const attestation = freshImage({
        annotations: { 'in-toto.io/predicate-type': 'https://slsa.dev/provenance/v0.2' },
      })
      await give(client, repository, attestation, attestation.digest)
      const index = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: indexType,
          manifests: [
            { ...describe(own.manifest, manifestType), platform: { architecture: 'amd64', os: 'linux' } },
            {
              ...describe(attestation.manifest, manifestType),
              annotations: {
                'vnd.docker.reference.digest': own.digest,
                'vnd.docker.reference.type': 'attestation-manifest',
              },
              platform: { architecture: 'unknown', os: 'unknown' },
            },
          ],
        }),
      )
      await client.must(201, 'PUT', `/v2/${repository}/manifests/latest`, { headers: typed(indexType), body: index })
      await expectImage(client, repository, 'latest', index)
      const cacheConfig = Buffer.from(JSON.stringify({ layers: [], records: [] }))
      await client.must(201, 'POST', `/v2/${repository}/blobs/uploads/?digest=${digestOf(cacheConfig)}`, {
        headers: octets,
        body: cacheConfig,
      })
      const cache = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: manifestType,
          config: describe(cacheConfig, 'application/vnd.buildkit.cacheconfig.v0'),
          layers: own.layers.map((layer) => describe(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')),
        }),
      )
      await client.must(201, 'PUT', `/v2/${repository}/manifests/cache`, { headers: typed(manifestType), body: cache })
      await expectImage(client, repository, 'cache', cache)
    },
  )
}
