import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { berthTarget } from '../conformance/berth.ts'
import { newManifest } from '../conformance/manifests.ts'
import { digestOf, manifestType, octets, pathOf, Wire, withDigest } from '../conformance/wire.ts'

const digest = digestOf(Buffer.from('x'))

describe('requests that mean harm, or are merely broken', () => {
  const berth = withBerth()
  let wire: Wire

  beforeAll(async () => {
    wire = new Wire(berthTarget(berth))
  }, 60_000)
  afterAll(async () => {
    wire?.close()
  }, 30_000)

  const code = (body: Buffer) => (JSON.parse(body.toString()) as { errors: { code: string }[] }).errors[0]?.code

  /** Sends bytes as they are and answers the first line of what comes back. */
  const sendRaw = async (text: string): Promise<string> => {
    const { hostname, port } = new URL(berth.url)
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.setEncoding('utf8').on('data', (data: string) => (answer += data))
    socket.on('error', () => undefined)
    socket.write(text)
    await Promise.race([once(socket, 'close'), once(socket, 'data')])
    socket.destroy()
    return answer.split('\r\n')[0] ?? ''
  }

  test.each([
    ['/v2/UPPER/manifests/latest', 400, 'NAME_INVALID'],
    ['/v2/a%2fb/manifests/latest', 400, 'NAME_INVALID'],
    ['/v2/../../etc/passwd/manifests/latest', 404, undefined],
    ['/v2/a/%2e%2e/manifests/latest', 400, 'NAME_INVALID'],
    ['/v2/a//b/manifests/latest', 400, 'NAME_INVALID'],
    ['/v2/-a/manifests/latest', 400, 'NAME_INVALID'],
    ['/v2/_oci/manifests/latest', 400, 'NAME_INVALID'],
    ['/v2/a%00b/manifests/latest', 400, 'NAME_INVALID'],
    [`/v2/${'a'.repeat(10_000)}/manifests/latest`, 400, 'NAME_INVALID'],
    ['/v2/a/manifests/.hidden', 400, 'TAG_INVALID'],
    [`/v2/a/manifests/${'t'.repeat(129)}`, 400, 'TAG_INVALID'],
    ['/v2/a/manifests/sha256:xyz', 400, 'DIGEST_INVALID'],
    [`/v2/a/manifests/${digest.toUpperCase()}`, 400, 'DIGEST_INVALID'],
    ['/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e', 400, 'DIGEST_INVALID'],
    ['/v2/a/blobs/uploads/..%2f..%2fetc', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['/v2/a/tags/list?n=-1', 400, 'PAGINATION_NUMBER_INVALID'],
    ['/v2/_catalog?n=1e9', 400, 'PAGINATION_NUMBER_INVALID'],
    ['/v2/nothing/here', 404, 'UNSUPPORTED'],
  ])('GET %s', async (path, status, expected) => {
    if (path.startsWith('/v2/a/tags')) await wire.pushManifest('a', await newManifest(wire, 'a'), 'latest')
    const reply = await wire.send('GET', path)
    expect(reply.status).toBe(status)
    if (expected) expect(code(reply.body)).toBe(expected)
    expect(reply.body.toString()).not.toMatch(/at \w+ \(|node_modules/)
  })

  test('manifests that can be read two ways, or are bombs, are refused', async () => {
    const manifest = await newManifest(wire, 'hostile/manifests')
    const bodies: [string, number][] = [
      [JSON.stringify({ ...manifest, manifests: [] }), 400],
      [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, 400],
      ['not json', 400],
      ['{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}', 400],
      [JSON.stringify({ ...manifest, layers: Array.from({ length: 10_200 }, () => manifest.config) }), 400],
      [`${JSON.stringify(manifest)}${' '.repeat(5 << 20)}`, 413],
    ]
    for (const [body, status] of bodies) {
      const { reply } = await wire.pushManifest('hostile/manifests', Buffer.from(body), 'bad')
      expect(reply.status).toBe(status)
    }
    expect((await wire.send('GET', '/v2/hostile/manifests/manifests/bad')).status).toBe(404)
  })

  test('a manifest comes back as a manifest or not at all: no page for browsers, no header that cannot be sent', async () => {
    const manifest = await newManifest(wire, 'hostile/types')
    const types = [
      'text/html',
      'application/x\nset-cookie: a=b',
      'application/vnd.\u00e9',
      `application/${'x'.repeat(200_000)}`,
    ]
    for (const mediaType of types) {
      const body = Buffer.from(
        JSON.stringify({ ...manifest, mediaType, annotations: { a: '<script>alert(1)</script>' } }),
      )
      const { reply } = await wire.pushManifest('hostile/types', body, 'bad', 'application/json')
      expect(reply.status).toBe(400)
      expect(code(reply.body)).toBe('MANIFEST_INVALID')
    }
    const { mediaType: _, ...untyped } = manifest
    const page = await wire.pushManifest('hostile/types', Buffer.from(JSON.stringify(untyped)), 'page', 'text/html')
    expect(page.reply.status).toBe(400)
    const taken = await wire.pushManifest('hostile/types', Buffer.from(JSON.stringify(untyped)), 'page', '')
    expect(taken.reply.status).toBe(201)
    for (const path of ['manifests/page', `manifests/${taken.digest}`, 'tags/list', 'manifests/none'])
      for (const method of ['GET', 'HEAD'] as const)
        expect((await wire.send(method, `/v2/hostile/types/${path}`)).headers).toMatchObject({
          'content-security-policy': "default-src 'none'; sandbox",
          'x-content-type-options': 'nosniff',
        })
  })

  test('no page of another site pushes with the login that a browser remembers', async () => {
    const headers = { origin: 'https://evil.example' }
    const reply = await wire.send('POST', '/v2/hostile/forged/blobs/uploads/', { headers })
    expect([reply.status, code(reply.body)]).toEqual([403, 'DENIED'])
    expect((await wire.send('POST', '/v2/hostile/forged/blobs/uploads/')).status).toBe(202)
  })

  test('a manifest of 50 MB is refused before it is read', async () => {
    const head = `PUT /v2/hostile/large/manifests/x HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(berth)}\r\nContent-Type: ${manifestType}\r\nContent-Length: 52428800\r\n\r\n`
    expect(await sendRaw(head)).toMatch(/ 413 /)
  })

  test('lying lengths and ranges are refused, and the session lives on', async () => {
    const location = pathOf(await wire.begin('hostile/uploads'))
    const body = randomBytes(100)
    const patch = (range: string) =>
      wire.send('PATCH', location, { headers: { ...octets, 'content-range': range }, body })
    expect((await patch('0-49')).status).toBe(400)
    expect((await patch('50-149')).status).toBe(416)
    expect((await patch('99-0')).status).toBe(416)
    expect((await patch('nonsense')).status).toBe(416)
    expect((await patch('0-99')).status).toBe(202)
    expect((await wire.send('PUT', withDigest(location, digestOf(body)))).status).toBe(201)
  })

  test('an upload whose client breaks off goes on from the last byte that came', async () => {
    const bytes = randomBytes(400_000)
    const location = pathOf(await wire.begin('hostile/broken'))
    const { hostname, port } = new URL(berth.url)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    socket.write(
      `PATCH ${location} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(berth)}\r\nContent-Length: 400000\r\n\r\n`,
    )
    socket.write(bytes.subarray(0, 250_000), () => socket.destroy())
    let offset = 0
    const deadline = Date.now() + 10_000
    while (offset === 0 && Date.now() < deadline) {
      const { headers } = await wire.send('GET', location)
      offset = headers.range === '0-0' ? 0 : Number(/^0-(\d+)$/.exec(headers.range as string)?.[1]) + 1
    }
    expect(offset).toBeGreaterThan(0)
    expect(offset).toBeLessThanOrEqual(250_000)
    const rest = bytes.subarray(offset)
    const range = `${offset}-${bytes.length - 1}`
    expect(
      (await wire.send('PATCH', location, { headers: { ...octets, 'content-range': range }, body: rest })).status,
    ).toBe(202)
    expect((await wire.send('PUT', withDigest(location, digestOf(bytes)))).status).toBe(201)
    const got = await wire.send('GET', `/v2/hostile/broken/blobs/${digestOf(bytes)}`)
    expect(got.body.equals(bytes)).toBe(true)
  })

  test('two thousand ranges cost one answer', async () => {
    const pushed = await wire.push('hostile/ranges', randomBytes(5_000))
    const range = `bytes=${Array.from({ length: 2_000 }, (_, i) => `${i}-${i}`).join(',')}`
    const reply = await wire.send('GET', `/v2/hostile/ranges/blobs/${pushed}`, { headers: { range } })
    expect(reply).toMatchObject({ status: 200 })
    expect(reply.body).toHaveLength(5_000)
  })

  test('without credentials the answers to a private name and to a missing one are alike', async () => {
    await wire.pushManifest('hostile/private', await newManifest(wire, 'hostile/private'), 'latest')
    const anonymous = new Wire({ ...berthTarget(berth), headers: {} })
    try {
      const ask = async (name: string) => {
        const { status, headers, body } = await anonymous.send('GET', `/v2/${name}/manifests/latest`)
        return {
          status,
          challenge: headers['www-authenticate']?.replaceAll(name, 'NAME'),
          body: body.toString().replaceAll(name, 'NAME'),
        }
      }
      expect(await ask('hostile/private')).toEqual(await ask('hostile/missing'))
      const listed = await anonymous.send('GET', '/v2/_catalog')
      expect(listed.status).toBe(401)
      expect((await anonymous.send('POST', '/v2/hostile/private/blobs/uploads/')).status).toBe(401)
    } finally {
      anonymous.close()
    }
  })
})
