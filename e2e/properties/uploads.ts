import { randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { digestOf, octets, pathOf, Wire, withDigest } from '../conformance/wire.ts'
import { expectSound, sendRaw } from './raw.ts'
import { checkProperty } from './runs.ts'
import type { Scene } from './scene.ts'

const repository = 'properties/uploads'

/** Uploads of clients that lie, leave, or are not the ones that began. */
export function uploadProperties(scene: () => Scene): void {
  const begin = async () => pathOf(await scene().wire.begin(repository))
  const offsetOf = async (place: string) => {
    const { status, headers } = await scene().wire.send('GET', place)
    expect(status).toBe(204)
    return Number(/^0-(\d+)$/.exec(headers.range as string)?.[1]) + 1
  }

  /** Ends an upload as a client does that comes back: from where it is told, until that is where it stands. */
  const goOn = async (place: string, bytes: Buffer) => {
    for (let tries = 0; tries < 10; tries++) {
      const { headers } = await scene().wire.send('GET', place)
      // Nothing and one byte look the same.
      const from = headers.range === '0-0' ? tries % 2 : Number(/^0-(\d+)$/.exec(headers.range as string)?.[1]) + 1
      const { status } = await scene().wire.send('PUT', withDigest(place, digestOf(bytes)), {
        headers: { ...octets, 'content-range': `${from}-${bytes.length - 1}` },
        body: bytes.subarray(from),
      })
      // The end of the broken request may have come between the two.
      if (status !== 416) return status
    }
    return 416
  }

  test('chunks with any range and length: taken only where the upload stands, and what was taken is what is stored', async () => {
    const chunk = fc.record({
      // From where the upload stands, mostly right.
      skip: fc.oneof(
        { arbitrary: fc.constant(0), weight: 3 },
        { arbitrary: fc.integer({ min: -40, max: 40 }), weight: 2 },
      ),
      lie: fc.oneof(
        { arbitrary: fc.constant(0), weight: 3 },
        { arbitrary: fc.integer({ min: -5, max: 5 }), weight: 1 },
      ),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 50 }),
      form: fc.constantFrom('plain', 'bytes', 'none', 'nonsense'),
    })
    await checkProperty(60, [fc.array(chunk, { maxLength: 8 })], async (chunks) => {
      const place = await begin()
      let stored = Buffer.alloc(0)
      for (const { skip, lie, bytes, form } of chunks) {
        const start = stored.length + skip
        const range = `${start}-${start + bytes.length - 1 + lie}`
        const said = { plain: range, bytes: `bytes ${range}/*`, none: undefined, nonsense: `${range}-${range}` }[form]
        const reply = await scene().wire.send('PATCH', place, {
          headers: { ...octets, ...(said === undefined ? {} : { 'content-range': said }) },
          body: Buffer.from(bytes),
        })
        const right = form === 'none' || (form !== 'nonsense' && skip === 0 && lie === 0)
        if (right) {
          expect(reply.status).toBe(202)
          stored = Buffer.concat([stored, bytes])
        } else expect([400, 416]).toContain(reply.status)
        if (stored.length > 0) expect(await offsetOf(place)).toBe(stored.length)
      }
      const end = await scene().wire.send('PUT', withDigest(place, digestOf(stored)))
      expect(end.status).toBe(201)
      const got = await scene().wire.send('GET', `/v2/${repository}/blobs/${digestOf(stored)}`)
      expect(got.body.equals(stored)).toBe(true)
    })
  }, 60_000)

  test('a body cut off anywhere stores nothing under its digest, and the upload goes on from what came', async () => {
    const way = fc.constantFrom('single', 'whole', 'patch')
    await checkProperty(40, [fc.integer({ min: 2, max: 200_000 }), fc.nat(), way], async (size, cut, how) => {
      const bytes = randomBytes(size)
      const digest = digestOf(bytes)
      const place = await begin()
      const target = {
        single: `/v2/${repository}/blobs/uploads/?digest=${digest}`,
        whole: withDigest(place, digest),
        patch: place,
      }[how]
      await sendRaw(scene().stack.url, {
        method: { single: 'POST', whole: 'PUT', patch: 'PATCH' }[how],
        target,
        headers: { authorization: scene().authorization.admin, 'content-length': String(size) },
        body: bytes,
        leaveAfterBytes: cut % size,
      })
      expect((await scene().wire.send('HEAD', `/v2/${repository}/blobs/${digest}`)).status).toBe(404)
      expect(await goOn(place, bytes)).toBe(201)
      const got = await scene().wire.send('GET', `/v2/${repository}/blobs/${digest}`)
      expect(got.body.equals(bytes)).toBe(true)
    })
  }, 60_000)

  test('an upload of another user, or of another repository, is not there for any verb', async () => {
    const { stack, authorization, wire } = scene()
    const bytes = randomBytes(100)
    const place = await begin()
    expect((await wire.send('PATCH', place, { headers: octets, body: bytes })).status).toBe(202)
    const fresh = await begin()
    const stranger = new Wire({ ...wire.target, url: stack.url, headers: { authorization: authorization.otherAdmin } })
    for (const [who, at] of [
      [stranger, place],
      [stranger, fresh],
      [wire, place.replace(repository, 'properties/other')],
      [wire, fresh.replace(repository, 'properties/other')],
    ] as const)
      for (const method of ['GET', 'HEAD', 'PATCH', 'PUT', 'DELETE']) {
        const path = method === 'PUT' ? withDigest(at, digestOf(bytes)) : at
        const reply = await who.send(method, path, method === 'PATCH' ? { headers: octets, body: bytes } : {})
        expect({ method, at, status: reply.status }).toEqual({ method, at, status: 404 })
        if (method !== 'HEAD') expect(JSON.parse(reply.body.toString()).errors[0].code).toBe('BLOB_UPLOAD_UNKNOWN')
      }
    stranger.close()
    expect(await offsetOf(place)).toBe(100)
    expect((await wire.send('PUT', withDigest(place, digestOf(bytes)))).status).toBe(201)
  }, 30_000)

  test('a body that comes drop by drop is taken, however long it takes', async () => {
    const bytes = randomBytes(40)
    const place = await begin()
    async function* drops() {
      for (const byte of bytes) {
        yield Uint8Array.of(byte)
        // The drops are what this is about.
        await new Promise((resolve) => void setTimeout(resolve, 25))
      }
    }
    const { stack, authorization } = scene()
    const options = {
      method: 'PATCH',
      headers: { authorization: authorization.admin, ...octets },
      body: drops(),
      duplex: 'half',
    }
    expect((await fetch(new URL(place, stack.url), options as unknown as RequestInit)).status).toBe(202)
    expect((await scene().wire.send('PUT', withDigest(place, digestOf(bytes)))).status).toBe(201)
  }, 30_000)

  test('lengths that are none, or two of them, are refused before anything is read', async () => {
    const place = await begin()
    for (const lengths of [
      { 'content-length': '-1' },
      { 'content-length': '1e3' },
      { 'content-length': '99999999999999999999' },
      { 'content-length': '5', 'transfer-encoding': 'chunked' },
      { 'transfer-encoding': 'gzip' },
    ]) {
      const headers = { authorization: scene().authorization.admin, ...lengths } as Record<string, string>
      const reply = await sendRaw(scene().stack.url, {
        method: 'PATCH',
        target: place,
        headers,
        body: Buffer.from('5\r\nhello\r\n0\r\n\r\n'),
      })
      // By node's parser, without a body: what is meant cannot be told.
      expect([400, 411, 413, 501]).toContain(reply.status)
    }
    expect((await scene().wire.send('GET', place)).headers.range).toBe('0-0')
    const empty = await sendRaw(scene().stack.url, {
      method: 'PATCH',
      target: place,
      headers: { authorization: scene().authorization.admin },
    })
    expectSound(empty, 'PATCH')
  }, 30_000)
}
