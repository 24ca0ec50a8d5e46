import { once } from 'node:events'
import http from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import tls from 'node:tls'
import { makeSelfSigned, until } from '@berth/service/testing'
import { afterEach, expect, test } from '@jest/globals'
import { freshBlob, MiB, readAll } from './contract/subject.ts'
import { closeAll, type Handler, head, sendRange, serve, storeAt, storeOn, xmlError } from './s3-server.fixture.ts'
import type { BlobKey, BlobStore, FirstRead } from './store/store.ts'

afterEach(closeAll)

/** What a client gets to which the blob is sent as registry does: over a real connection, whose buffers are used again. */
async function pull(
  store: BlobStore,
  key: BlobKey,
  first: FirstRead | undefined,
  onChunk: () => Promise<void> = async () => undefined,
): Promise<Buffer> {
  const { range } = first ?? {}
  const send = async (response: http.ServerResponse) => {
    const blob = await store.open(key, first)
    await blob?.sendTo(response, { range })
    await blob?.close()
    response.end()
  }
  const { endpoint } = await serve((_request, response) => {
    send(response).catch(() => response.destroy())
  })
  const [answer] = (await once(http.get(endpoint), 'response')) as [http.IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of answer) {
    chunks.push(chunk)
    await onChunk()
  }
  return Buffer.concat(chunks)
}

const storing =
  (bytes: Buffer): Handler =>
  (request, response) =>
    request.method === 'HEAD' ? head(response, bytes.length) : sendRange(request, response, bytes)

/** As servers and proxies may that do not say beforehand how much comes. */
const storingInChunks =
  (bytes: Buffer): Handler =>
  (request, response) => {
    if (request.method === 'HEAD') return head(response, bytes.length)
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
    response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${bytes.length}` })
    response.end(bytes.subarray(Number(first), Number(last) + 1))
  }

test('of what is known no look-up is made, and one read after the other goes through the same connection', async () => {
  const { bytes, key } = freshBlob(5 * MiB + 3)
  const asked: string[] = []
  const { endpoint, server } = await serve((request, response) => {
    asked.push(`${request.method} ${request.headers.range}`)
    storing(bytes)(request, response, bytes)
  })
  let connections = 0
  server.on('connection', () => (connections += 1))
  const store = storeAt(endpoint)
  const { length: sizeBytes } = bytes
  expect((await pull(store, key, { sizeBytes })).equals(bytes)).toBe(true)
  const range = { start: MiB, end: 2 * MiB }
  expect((await pull(store, key, { sizeBytes, range })).equals(bytes.subarray(MiB, 2 * MiB + 1))).toBe(true)
  expect(asked).toEqual([`GET bytes=0-${sizeBytes - 1}`, `GET bytes=${MiB}-${2 * MiB}`])
  expect(connections).toBe(1)
  // Another range than was said first is no less right.
  const blob = await store.open(key, { sizeBytes, range })
  const chunks = await blob?.stream({ range: { start: 7, end: 9 } }).toArray()
  await blob?.close()
  expect(Buffer.concat(chunks ?? []).equals(bytes.subarray(7, 10))).toBe(true)
})

test('what is known and not there any more is absent, and one of another size says which', async () => {
  const { bytes, key } = freshBlob(1_000)
  const store = await storeOn((request, response, body) => {
    if (request.url?.includes(`.${key.generation}`)) storing(bytes)(request, response, body)
    else xmlError(response, 404, 'NoSuchKey')
  })
  expect(await store.open({ ...key, generation: 9_999 }, { sizeBytes: 1_000 })).toBeUndefined()
  for (const sizeBytes of [999, 1_001, 0]) {
    const blob = await store.open(key, { sizeBytes })
    expect(blob?.sizeBytes).toBe(1_000)
    await blob?.close()
  }
})

test('one that is so much shorter that it has none of the range says its size, and a read tells of damage', async () => {
  const { bytes, key } = freshBlob(10)
  const store = await storeOn((request, response) => {
    if (request.method === 'HEAD') head(response, request.url?.includes('long') ? 5_000 : bytes.length)
    else response.writeHead(416).end('<Error><Code>InvalidRange</Code></Error>')
  })
  const range = { start: 4_000, end: 4_999 }
  const blob = await store.open(key, { sizeBytes: 5_000, range })
  expect(blob?.sizeBytes).toBe(10)
  await expect(readAll(store, key, { start: 1, end: 9 })).rejects.toMatchObject({ code: 'damaged' })
})

test.each([
  ['as one', storing],
  ['in chunks', storingInChunks],
])('a slow client gets every byte of what a server sends %s', async (_how, answering) => {
  const { bytes, key } = freshBlob(7 * MiB + 3)
  const asked: (string | undefined)[] = []
  const store = await storeOn((request, response, body) => {
    asked.push(request.method)
    answering(bytes)(request, response, body)
  })
  for (const first of [undefined, { sizeBytes: bytes.length }]) {
    expect((await pull(store, key, first, () => turn())).equals(bytes)).toBe(true)
  }
  // Once more where the first answer was not understood, and not for each read.
  expect(asked.filter((method) => method === 'GET')).toHaveLength(answering === storing ? 2 : 3)
})

test('a slow client gets every byte of what comes by TLS, which gives some more when it is told to stop', async () => {
  const trusted = tls.getCACertificates('default')
  const pair = makeSelfSigned('object store')
  tls.setDefaultCACertificates([String(pair.cert)])
  try {
    const { bytes, key } = freshBlob(7 * MiB + 3)
    const store = storeAt((await serve(storing(bytes), pair)).endpoint)
    for (const onChunk of [undefined, () => turn(), () => turn()]) {
      expect((await pull(store, key, { sizeBytes: bytes.length }, onChunk)).equals(bytes)).toBe(true)
    }
  } finally {
    tls.setDefaultCACertificates(trusted)
  }
})

test('a client gets every byte from a server that cuts each answer', async () => {
  const { bytes, key } = freshBlob(3 * MiB)
  const store = await storeOn((request, response) => sendRange(request, response, bytes, MiB))
  expect((await pull(store, key, { sizeBytes: bytes.length })).equals(bytes)).toBe(true)
})

test('a connection that the server closes while it is not used costs no try', async () => {
  const { bytes, key } = freshBlob(100)
  const used = new WeakSet()
  const store = await storeOn(
    (request, response) => {
      // As one that was closed when the request was on its way already.
      if (used.has(request.socket)) request.socket.destroy()
      else sendRange(request, response, bytes)
      used.add(request.socket)
    },
    { retries: 0 },
  )
  for (let i = 0; i < 3; i++) expect((await pull(store, key, { sizeBytes: 100 })).equals(bytes)).toBe(true)
})

test('what a server sends after its answer is part of no other', async () => {
  const { bytes, key } = freshBlob(100)
  const store = await storeOn((request, response) => {
    sendRange(request, response, bytes)
    response.on('finish', () => request.socket.write('HTTP/1.1 206 Partial Content\r\ncontent-length: 100\r\n'))
  })
  for (let i = 0; i < 3; i++) expect((await pull(store, key, { sizeBytes: 100 })).equals(bytes)).toBe(true)
})

test('a reader of ours that takes longer than the object store may is not cut off', async () => {
  const { bytes, key } = freshBlob(6 * MiB)
  const store = await storeOn(storing(bytes), { idleTimeoutMs: 150, retries: 0 })
  let waits = 2
  const slowly = async () => {
    if (waits-- > 0) await new Promise((resolve) => setTimeout(resolve, 400))
  }
  expect((await pull(store, key, { sizeBytes: bytes.length }, slowly)).equals(bytes)).toBe(true)
})

test('readers that stand still, however many, do not keep another from its bytes', async () => {
  const { bytes, key } = freshBlob(MiB)
  const store = await storeOn(storing(bytes))
  const first = { sizeBytes: bytes.length }
  const still = await Promise.all(Array.from({ length: 150 }, () => store.open(key, first)))
  expect((await readAll(store, key)).equals(bytes)).toBe(true)
  for (const blob of still) await blob?.close()
})

test('a server that falls silent in the middle of a known blob is given up', async () => {
  const { key } = freshBlob(1_000)
  const store = await storeOn(
    (_request, response) => {
      response.writeHead(206, { 'content-length': 1_000, 'content-range': 'bytes 0-999/1000' }).write('some')
    },
    { idleTimeoutMs: 100, retries: 0 },
  )
  const blob = await store.open(key, { sizeBytes: 1_000 })
  await expect(blob?.stream().toArray()).rejects.toMatchObject({ code: 'unavailable' })
  await blob?.close()
})

test('a reader that leaves, or that never read what it asked for, ends the request to the object store', async () => {
  const { bytes, key } = freshBlob(16 * MiB)
  let [begun, ended] = [0, 0]
  const store = await storeOn((request, response) => {
    begun += 1
    response.on('close', () => (ended += 1))
    sendRange(request, response, bytes)
  })
  const first = { sizeBytes: bytes.length }
  const unread = await store.open(key, first)
  await unread?.close()
  const unstarted = await store.open(key, first)
  unstarted?.stream().destroy()
  await unstarted?.close()
  const abort = new AbortController()
  const aborted = await store.open(key, { ...first, signal: abort.signal })
  const reading = Array.fromAsync(aborted?.stream({ signal: abort.signal }) ?? [])
  abort.abort(new Error('client gone'))
  await expect(reading).rejects.toThrow(/abort/i)
  for await (const chunk of (await store.open(key, first))?.stream() ?? []) {
    expect(chunk).toBeDefined()
    break
  }
  await until(async () => begun === 4 && ended === 4)
})
