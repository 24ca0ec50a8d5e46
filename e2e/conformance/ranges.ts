import { randomBytes } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { type Ability, digestOf, type Reply, type Target, type Wire } from './wire.ts'

/** Ranges of blobs, one and several (RFC 9110 §14; docs/protocol.md#ranges). */
export function rangeTests(wire: () => Wire, repository: string, supports: Target['supports']): void {
  /** A test that a peer without the ability would fail. */
  const testIf = (ability: Ability) => (supports[ability] ? test : () => undefined)

  describe('range requests', () => {
    const bytes = randomBytes(2048)
    test.each([
      ['500-1499', 500, 1499],
      ['500-', 500, 2047],
      ['-500', 1548, 2047],
      ['2000-5000', 2000, 2047],
    ])('bytes=%s', async (range, start, end) => {
      const digest = await wire().push(repository, bytes)
      const got = await wire().send('GET', `/v2/${repository}/blobs/${digest}`, {
        headers: { range: `bytes=${range}` },
      })
      expect(got).toMatchObject({
        status: 206,
        headers: { 'content-range': `bytes ${start}-${end}/2048`, 'content-length': String(end - start + 1) },
      })
      expect(got.body.equals(bytes.subarray(start, end + 1))).toBe(true)
    })
    testIf('unsatisfiableRange')('bytes=5000-10000 and 500-0 are refused', async () => {
      const digest = await wire().push(repository, bytes)
      for (const range of ['bytes=5000-10000', 'bytes=500-0']) {
        const got = await wire().send('GET', `/v2/${repository}/blobs/${digest}`, { headers: { range } })
        expect(got).toMatchObject({ status: 416, headers: { 'content-range': 'bytes */2048' } })
      }
    })
  })

  describe('several ranges in one request', () => {
    // Larger than a socket's buffers, so that parts are read from the store while others are on their way.
    const bytes = randomBytes(6 << 20)
    const get = async (headers: Record<string, string>) =>
      wire().send('GET', `/v2/${repository}/blobs/${await wire().push(repository, bytes)}`, { headers })

    testIf('manyRanges')('come as parts in the order asked, and the length is exact', async () => {
      const got = await get({ range: 'bytes=5000000-, 0-0,100-2000099,-1,9000000-' })
      expect(got.status).toBe(206)
      expect(got.headers['content-range']).toBeUndefined()
      expect(got.headers['content-length']).toBe(String(got.body.length))
      const part = (range: string, expected: Buffer) => ({
        range: `bytes ${range}/6291456`,
        type: 'application/octet-stream',
        digest: digestOf(expected),
      })
      // By digest: megabytes are compared in no time.
      expect(partsOf(got).map(({ bytes: given, ...rest }) => ({ ...rest, digest: digestOf(given) }))).toEqual([
        part('5000000-6291455', bytes.subarray(5_000_000)),
        part('0-0', bytes.subarray(0, 1)),
        part('100-2000099', bytes.subarray(100, 2_000_100)),
        part('6291455-6291455', bytes.subarray(-1)),
      ])
    })

    testIf('manyRanges')('one that can be satisfied is an ordinary part', async () => {
      const got = await get({ range: 'bytes=9000000-,7-8' })
      expect(got).toMatchObject({
        status: 206,
        headers: { 'content-type': 'application/octet-stream', 'content-range': 'bytes 7-8/6291456' },
      })
      expect(got.body.equals(bytes.subarray(7, 9))).toBe(true)
    })

    testIf('manyRanges')('none that can be satisfied is 416', async () => {
      expect(await get({ range: 'bytes=9000000-,-0' })).toMatchObject({
        status: 416,
        headers: { 'content-range': 'bytes */6291456' },
      })
    })

    testIf('manyRanges')('too many, or more bytes than there are, is all of it', async () => {
      for (const range of [`bytes=${Array(2000).fill('1-2').join(',')}`, 'bytes=0-,0-']) {
        const got = await get({ range })
        expect(got.status).toBe(200)
        expect(got.body.equals(bytes)).toBe(true)
      }
    })

    testIf('manyRanges')('If-Range counts when it names the blob as it is', async () => {
      const etag = `"${digestOf(bytes)}"`
      for (const range of ['bytes=0-0', 'bytes=0-0,5-5']) {
        expect((await get({ range, 'if-range': etag })).status).toBe(206)
        for (const other of [`W/${etag}`, '"sha256:another"', 'Wed, 21 Oct 2015 07:28:00 GMT'])
          expect((await get({ range, 'if-range': other })).status).toBe(200)
      }
    })
  })
}

/** The parts of a `multipart/byteranges` answer; throws when the body is anything but parts and their boundaries. */
function partsOf({ headers, body }: Reply): { range: string; type: string; bytes: Buffer }[] {
  const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(headers['content-type'] ?? '')?.[1]
  const text = `\r\n${body.toString('latin1')}`
  const [before, ...rest] = text.split(`\r\n--${boundary}`)
  if (before !== '' || rest.pop() !== '--\r\n') throw new Error('the body does not begin and end with its boundary')
  return rest.map((part) => {
    const head = /^\r\ncontent-type: (.*)\r\ncontent-range: (.*)\r\n\r\n/i.exec(part)
    if (!head) throw new Error(`a part has no head: ${part.slice(0, 100)}`)
    return { type: head[1] ?? '', range: head[2] ?? '', bytes: Buffer.from(part.slice(head[0].length), 'latin1') }
  })
}
