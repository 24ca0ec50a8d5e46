import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { boundMs, expectSound, sendRaw } from './raw.ts'
import { checkProperty } from './runs.ts'
import { publicName, type Scene } from './scene.ts'

const types = [
  '*/*',
  'application/*',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'text/html',
]

/** Headers that clients may send any value of. */
export function headerProperties(scene: () => Scene): void {
  const get = (target: string, headers: Record<string, string>) =>
    sendRaw(scene().stack.url, { method: 'GET', target: `/v2/${publicName}/${target}`, headers })
  const noise = fc.string({ unit: 'binary-ascii', maxLength: 60 }).map((text) => text.replace(/[^ -~]/g, ' '))

  test('any Range of a blob: the bytes that were asked for, all of them, or 416', async () => {
    const edge = fc.oneof(
      fc.nat(25_000),
      fc.constantFrom('', 0, 19_999, 20_000, '99999999999999999999', '-1', '0x10', ' 5 '),
    )
    const one = fc.tuple(edge, edge).map(([a, b]) => `${a}-${b}`)
    const unit = fc.constantFrom('bytes=', 'bytes = ', 'BYTES=', 'bits=', '')
    const range = fc.oneof(
      fc.tuple(unit, fc.array(one, { minLength: 1, maxLength: 5 })).map(([u, list]) => u + list.join(',')),
      noise,
    )
    await checkProperty(200, [range], async (range) => {
      const { layer, digests } = scene()
      const reply = await get(`blobs/${digests.layer}`, { range })
      expectSound(reply, 'GET')
      if (reply.status === 200) return expect(reply.body.equals(layer)).toBe(true)
      if (reply.status === 416) return expect(reply.headers['content-range']).toBe(`bytes */${layer.length}`)
      expect(reply.status).toBe(206)
      expect(reply.body.length).toBe(Number(reply.headers['content-length']))
      for (const { start, end, bytes } of partsOf(reply))
        expect(bytes.equals(layer.subarray(start, end + 1))).toBe(true)
    })
  }, 60_000)

  test('ten thousand ranges cost no more than the blob once, or are refused', async () => {
    const { layer, digests } = scene()
    const begun = performance.now()
    const single = (count: number) => Array.from({ length: count }, (_, i) => `${i}-${i}`).join(',')
    for (const list of [single(3_000), Array<string>(10_000).fill('0-').join(',')]) {
      const reply = await get(`blobs/${digests.layer}`, { range: `bytes=${list}` })
      expect([200, 206]).toContain(reply.status)
      expect(reply.body.length).toBeLessThan(2 * layer.length)
    }
    // As a header these are more than is read at all. The answer may not reach a client that is still sending.
    const { status } = await get(`blobs/${digests.layer}`, { range: `bytes=${single(10_000)}` })
    expect([431, 0]).toContain(status)
    expect(performance.now() - begun).toBeLessThan(boundMs)
  }, 30_000)

  test('any Accept, and conditions of any kind: the manifest as it is, or the answer that it is known', async () => {
    const quality = fc.constantFrom('', ';q=0', ';q=1', ';q=0.5', ';q=x', '; q=0.1;level=1', ';charset=utf-8')
    const accept = fc.oneof(
      fc
        .array(
          fc.tuple(fc.constantFrom(...types), quality).map((pair) => pair.join('')),
          { maxLength: 8 },
        )
        .map((list) => list.join(',')),
      noise,
    )
    const condition = fc.oneof(noise, fc.constantFrom('*', '"x", W/"y"', `"${scene().digests.manifest}"`))
    await checkProperty(150, [accept, condition], async (accept, condition) => {
      const { digests } = scene()
      const reply = await get('manifests/latest', { accept, 'if-none-match': condition })
      expectSound(reply, 'GET')
      expect([200, 304]).toContain(reply.status)
      expect(reply.headers['docker-content-digest']).toBe(digests.manifest)
    })
  }, 60_000)

  test('an Authorization that is none is 401 with a challenge, and never lets in', async () => {
    const scheme = fc.constantFrom('Bearer ', 'bearer ', 'Basic ', 'Digest ', 'Negotiate ', '', 'Bearer  ', 'Bearer,')
    const rest = fc.oneof(
      noise,
      fc.base64String({ maxLength: 40 }),
      fc.constantFrom('a.b.c', '..', 'e30.e30.e30', 'x'.repeat(20_000)),
    )
    let number = 0
    await checkProperty(150, [scheme, rest], async (scheme, rest) => {
      const value = `${scheme}${rest}`.trim()
      // Read as "user:password" it would be a guess, which costs a hash each: those have a test of their own.
      fc.pre(value !== '' && !(scheme === 'Basic ' && Buffer.from(rest, 'base64').includes(':')))
      number++
      const headers = { authorization: value, 'x-forwarded-for': `10.1.${number >> 8}.${number & 255}` }
      const reply = await sendRaw(scene().stack.url, { method: 'GET', target: '/v2/', headers })
      expectSound(reply, 'GET')
      expect(reply.status).toBe(401)
      expect(reply.headers['www-authenticate']).toMatch(/^Bearer realm="[^"]+",service="[^"]+"/)
    })
  }, 60_000)
}

type Part = { start: number; end: number; bytes: Buffer }

/** The parts of a 206, of one range or of several. */
function partsOf({ headers, body }: { headers: Record<string, string>; body: Buffer }): Part[] {
  const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(headers['content-type'] ?? '')?.[1]
  if (boundary === undefined) return [{ ...rangeOf(headers['content-range']), bytes: body }]
  const parts: Part[] = []
  for (let at = 0; ; ) {
    const head = body.indexOf('\r\n\r\n', at)
    if (head < 0) return parts
    const { start, end } = rangeOf(/content-range: (.*)/i.exec(body.subarray(at, head).toString())?.[1])
    at = head + 4 + end - start + 1
    parts.push({ start, end, bytes: body.subarray(head + 4, at) })
  }
}

function rangeOf(header: string | undefined): { start: number; end: number } {
  const [, start, end] = /^bytes (\d+)-(\d+)\/20000$/.exec(header ?? '') ?? []
  expect(end).toBeDefined()
  return { start: Number(start), end: Number(end) }
}
