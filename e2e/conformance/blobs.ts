import { randomBytes } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { type Ability, digestOf, octets, pathOf, type Target, type Wire, withDigest } from './wire.ts'

/** Blobs: every way to push them, to read them, to delete them (distribution-spec; docs/protocol.md#conformance). */
export function blobTests(wire: () => Wire, repository: string, supports: Target['supports']): void {
  /** A test that a peer without the ability would fail. */
  const testIf = (ability: Ability) => (supports[ability] ? test : () => undefined)
  const other = `${repository}-other`

  const expectStored = async (bytes: Buffer, digest: string, location?: string) => {
    const head = await wire().send('HEAD', `/v2/${repository}/blobs/${digest}`)
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': String(bytes.length) } })
    expect(head.body).toHaveLength(0)
    const got = await wire().send('GET', location ? pathOf(location) : `/v2/${repository}/blobs/${digest}`)
    expect(got.status).toBe(200)
    expect(got.body.equals(bytes)).toBe(true)
    expect(got.headers['docker-content-digest']).toBe(digest)
  }

  test('get-missing', async () => {
    for (const method of ['GET', 'HEAD'])
      expect((await wire().send(method, `/v2/${repository}/blobs/${digestOf(randomBytes(8))}`)).status).toBe(404)
  })

  testIf('singlePost')('post only', async () => {
    const bytes = randomBytes(512)
    const digest = digestOf(bytes)
    const reply = await wire().send('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, {
      headers: octets,
      body: bytes,
    })
    expect(reply.status).toBe(201)
    await expectStored(bytes, digest, reply.headers.location)
  })

  test('post+put', async () => {
    const bytes = randomBytes(512)
    const digest = digestOf(bytes)
    const post = await wire().send('POST', `/v2/${repository}/blobs/uploads/`)
    expect(post).toMatchObject({
      status: 202,
      headers: { location: expect.any(String), 'docker-upload-uuid': expect.any(String) },
    })
    const put = await wire().send('PUT', withDigest(pathOf(post.headers.location), digest), {
      headers: octets,
      body: bytes,
    })
    expect(put.status).toBe(201)
    await expectStored(bytes, digest, put.headers.location)
  })

  for (const [name, sizes] of Object.entries({ 'chunked single': [512], 'chunked multi': [700, 700, 300] })) {
    test(name, async () => {
      const bytes = randomBytes(sizes.reduce((sum, size) => sum + size))
      let location = pathOf(await wire().begin(repository))
      let start = 0
      for (const size of sizes) {
        const body = bytes.subarray(start, start + size)
        const patch = await wire().send('PATCH', location, {
          headers: { ...octets, 'content-range': `${start}-${start + size - 1}` },
          body,
        })
        start += size
        expect(patch).toMatchObject({ status: 202, headers: { range: `0-${start - 1}` } })
        location = pathOf(patch.headers.location)
      }
      expect((await wire().send('PUT', withDigest(location, digestOf(bytes)))).status).toBe(201)
      await expectStored(bytes, digestOf(bytes))
    })
  }

  test('the least chunk is announced where the store wants large ones, and smaller ones are taken', async () => {
    const post = await wire().send('POST', `/v2/${repository}/blobs/uploads/`)
    expect(post.headers['oci-chunk-min-length']).toBe(wire().target.chunkMinLength)
    const patch = await wire().send('PATCH', pathOf(post.headers.location), {
      headers: { ...octets, 'content-range': '0-9' },
      body: randomBytes(10),
    })
    expect(patch.status).toBe(202)
  })

  test('chunked multi and put chunk', async () => {
    const bytes = randomBytes(900)
    const patch = await wire().send('PATCH', pathOf(await wire().begin(repository)), {
      headers: { ...octets, 'content-range': '0-599' },
      body: bytes.subarray(0, 600),
    })
    const put = await wire().send('PUT', withDigest(pathOf(patch.headers.location), digestOf(bytes)), {
      headers: { ...octets, 'content-range': '600-899' },
      body: bytes.subarray(600),
    })
    expect(put.status).toBe(201)
    await expectStored(bytes, digestOf(bytes))
  })

  testIf('chunkOrder')('chunked out-of-order', async () => {
    const bytes = randomBytes(900)
    let location = pathOf(await wire().begin(repository))
    const patch = (start: number, end: number) =>
      wire().send('PATCH', location, {
        headers: { ...octets, 'content-range': `${start}-${end - 1}` },
        body: bytes.subarray(start, end),
      })
    expect((await patch(600, 900)).status).toBe(416)
    const first = await patch(0, 600)
    expect(first.status).toBe(202)
    const old = location
    location = pathOf(first.headers.location)
    expect((await patch(0, 600)).status).toBe(416)
    for (const at of [location, old]) {
      const status = await wire().send('GET', at)
      expect(status).toMatchObject({ status: 204, headers: { range: '0-599', location: expect.any(String) } })
    }
    expect((await patch(600, 900)).status).toBe(202)
    expect((await wire().send('PUT', withDigest(location, digestOf(bytes)))).status).toBe(201)
    await expectStored(bytes, digestOf(bytes))
  })

  testIf('chunkedPut')('chunked out-of-order and put chunk', async () => {
    const bytes = randomBytes(900)
    const patch = await wire().send('PATCH', pathOf(await wire().begin(repository)), {
      headers: { ...octets, 'content-range': '0-599' },
      body: bytes.subarray(0, 600),
    })
    const put = (range: string) =>
      wire().send('PUT', withDigest(pathOf(patch.headers.location), digestOf(bytes)), {
        headers: { ...octets, 'content-range': range },
        body: bytes.subarray(600),
      })
    expect((await put('0-299')).status).toBe(416)
    expect((await wire().send('GET', pathOf(patch.headers.location))).status).toBe(204)
    expect((await put('600-899')).status).toBe(201)
  })

  test('stream', async () => {
    const bytes = randomBytes(300_000)
    const patch = await wire().send('PATCH', pathOf(await wire().begin(repository)), {
      headers: octets,
      body: [bytes.subarray(0, 100_000), bytes.subarray(100_000)],
    })
    expect(patch.status).toBe(202)
    const put = await wire().send('PUT', withDigest(pathOf(patch.headers.location), digestOf(bytes)))
    expect(put.status).toBe(201)
    await expectStored(bytes, digestOf(bytes), put.headers.location)
  })

  test('to know a digest gives no right to its bytes, whatever is sent for it', async () => {
    for (const size of [512, 300_000]) {
      const secret = randomBytes(size)
      const digest = await wire().push(other, secret)
      const isThere = async () => (await wire().send('HEAD', `/v2/${repository}/blobs/${digest}`)).status
      const send = (method: string, location: string, body?: Buffer) =>
        wire().send(method, location, body ? { headers: octets, body } : {})
      const end = async (location: string, body?: Buffer) =>
        expect((await send('PUT', withDigest(location, digest), body)).status).toBeGreaterThanOrEqual(400)
      await end(pathOf(await wire().begin(repository)), randomBytes(size))
      const patch = await send('PATCH', pathOf(await wire().begin(repository)), randomBytes(size))
      await end(pathOf(patch.headers.location))
      const half = await send('PATCH', pathOf(await wire().begin(repository)), secret.subarray(0, size / 2))
      await end(pathOf(half.headers.location), randomBytes(size / 2))
      expect(await isThere()).toBe(404)
    }
  })

  test('mount', async () => {
    const bytes = randomBytes(512)
    const digest = await wire().push(other, bytes)
    const mount = await wire().send('POST', `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${other}`)
    expect(mount).toMatchObject({ status: 201, headers: { 'docker-content-digest': digest } })
    expect(pathOf(mount.headers.location)).toBe(`/v2/${repository}/blobs/${digest}`)
    await expectStored(bytes, digest)
  })

  testIf('anonymousMount')('mount anonymous', async () => {
    const bytes = randomBytes(512)
    const digest = await wire().push(other, bytes)
    expect((await wire().send('POST', `/v2/${repository}/blobs/uploads/?mount=${digest}`)).status).toBe(201)
    await expectStored(bytes, digest)
  })

  test('mount missing', async () => {
    const bytes = randomBytes(512)
    const mount = await wire().send('POST', `/v2/${repository}/blobs/uploads/?mount=${digestOf(bytes)}&from=${other}`)
    expect(mount.status).toBe(202)
    expect(
      (
        await wire().send('PUT', withDigest(pathOf(mount.headers.location), digestOf(bytes)), {
          headers: octets,
          body: bytes,
        })
      ).status,
    ).toBe(201)
  })

  test('post cancel', async () => {
    const location = pathOf(await wire().begin(repository))
    expect((await wire().send('DELETE', location)).status).toBe(204)
    expect((await wire().send('GET', location)).status).toBe(404)
    expect((await wire().send('DELETE', location)).status).toBe(404)
  })

  test('delete is seen at once', async () => {
    const digest = await wire().push(repository, randomBytes(512))
    expect((await wire().send('DELETE', `/v2/${repository}/blobs/${digest}`)).status).toBe(202)
    expect((await wire().send('HEAD', `/v2/${repository}/blobs/${digest}`)).status).toBe(404)
  })

  test.each([
    ['empty', Buffer.alloc(0)],
    ['emptyJSON', Buffer.from('{}')],
  ])('%s', async (_name, bytes) => {
    await expectStored(bytes, await wire().push(repository, bytes))
    await expectStored(bytes, await wire().push(repository, bytes))
  })

  testIf('sha512')('sha512 after a plain POST', async () => {
    const bytes = randomBytes(512)
    await expectStored(bytes, await wire().push(repository, bytes, 'sha512'))
    const patch = await wire().send('PATCH', pathOf(await wire().begin(repository)), { headers: octets, body: bytes })
    expect(
      (await wire().send('PUT', withDigest(pathOf(patch.headers.location), digestOf(bytes, 'sha512')))).status,
    ).toBe(201)
  })

  describe('bad digest', () => {
    const bytes = randomBytes(512)
    const wrong = digestOf(bytes)
    const longer = Buffer.concat([bytes, Buffer.from('extra')])
    const absent = async () => expect((await wire().send('HEAD', `/v2/${repository}/blobs/${wrong}`)).status).toBe(404)

    testIf('singlePost')('post only', async () => {
      expect(
        (
          await wire().send('POST', `/v2/${repository}/blobs/uploads/?digest=${wrong}`, {
            headers: octets,
            body: longer,
          })
        ).status,
      ).toBe(400)
      await absent()
    })
    test('post+put', async () => {
      expect(
        (
          await wire().send('PUT', withDigest(pathOf(await wire().begin(repository)), wrong), {
            headers: octets,
            body: longer,
          })
        ).status,
      ).toBe(400)
      await absent()
    })
    test('chunked', async () => {
      const patch = await wire().send('PATCH', pathOf(await wire().begin(repository)), {
        headers: { ...octets, 'content-range': `0-${longer.length - 1}` },
        body: longer,
      })
      expect((await wire().send('PUT', withDigest(pathOf(patch.headers.location), wrong))).status).toBe(400)
      await absent()
    })
    test('stream', async () => {
      const patch = await wire().send('PATCH', pathOf(await wire().begin(repository)), {
        headers: octets,
        body: [longer],
      })
      expect((await wire().send('PUT', withDigest(pathOf(patch.headers.location), wrong))).status).toBe(400)
      await absent()
    })
    test('none at all', async () => {
      const location = pathOf(await wire().begin(repository))
      expect((await wire().send('PUT', location, { headers: octets })).status).toBe(400)
    })
  })
}
