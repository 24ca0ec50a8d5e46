import { once } from 'node:events'
import { until } from '@berth/service/testing'
import { afterEach, expect, test } from '@jest/globals'
import { chunksOf, freshBlob, freshId, gatheringSink, MiB } from './contract/subject.ts'
import { openBlobStore } from './open.ts'
import { closeAll, head, sendRange, serve, storeOn, xmlError } from './s3-server.fixture.ts'
import { BlobStoreError } from './store/errors.ts'

afterEach(closeAll)

test('a server that is busy for a moment is asked again', async () => {
  let requests = 0
  const store = await storeOn((_request, response) => {
    requests += 1
    if (requests < 3) xmlError(response, 503, 'SlowDown')
    else head(response, 5)
  })
  expect((await store.stat(freshBlob(5).key))?.sizeBytes).toBe(5)
  expect(requests).toBe(3)
})

test('a server that stays broken is unavailable, after so many tries', async () => {
  let requests = 0
  const store = await storeOn(
    (_request, response) => {
      requests += 1
      xmlError(response, 500, 'InternalError')
    },
    { retries: 2 },
  )
  await expect(store.stat(freshBlob(5).key)).rejects.toMatchObject({ code: 'unavailable' })
  expect(requests).toBe(3)
})

test.each([
  [403, 'AccessDenied', 'denied'],
  [507, 'XMinioStorageFull', 'no_space'],
  [400, 'AuthorizationHeaderMalformed', 'misconfigured'],
])('a %i %s on a write is told as %s, and not tried again', async (status, s3Code, code) => {
  let requests = 0
  const store = await storeOn((_request, response) => {
    requests += 1
    xmlError(response, status, s3Code)
  })
  const { bytes, key } = freshBlob(5)
  await expect(store.write(key, chunksOf(bytes))).rejects.toMatchObject({ code, name: 'BlobStoreError' })
  expect(requests).toBe(1)
})

test('a bucket in which nothing may be written stops the start, in one line that names it and what to look at', async () => {
  const { endpoint } = await serve((request, response) => {
    if (request.method === 'PUT') xmlError(response, 403, 'AccessDenied')
    else response.writeHead(200).end()
  })
  const names = { s3Endpoint: endpoint, s3Bucket: 'blobs', s3AccessKey: 'key', s3SecretKey: 'secret-key' }
  const opening = openBlobStore(names)
  await expect(opening).rejects.toMatchObject({
    name: 'StartupError',
    remedy: expect.stringContaining('_BUCKET (blobs)'),
  })
  await expect(opening).rejects.toThrow(
    /^the blob store cannot be used: cannot write [^\n]*403 AccessDenied[^\n]*may do in the bucket$/,
  )
  await expect(opening).rejects.not.toThrow(/secret-key/)
})

test('a read that is cut midway goes on where it was', async () => {
  const { bytes, key } = freshBlob(3 * MiB)
  const store = await storeOn((request, response) => {
    if (request.method === 'HEAD') head(response, bytes.length)
    else sendRange(request, response, bytes, MiB)
  })
  const blob = await store.open(key)
  const { sink, taken } = gatheringSink()
  await blob?.sendTo(sink)
  expect(Buffer.concat(taken).equals(bytes)).toBe(true)
})

test('a read that gets no further never ends as if it were whole', async () => {
  const { bytes, key } = freshBlob(MiB)
  const store = await storeOn(
    (request, response) => {
      if (request.method === 'HEAD') head(response, bytes.length)
      else
        sendRange(request, response, bytes.subarray(0, 1000), request.headers.range?.startsWith('bytes=0-') ? 500 : 0)
    },
    { retries: 1 },
  )
  const blob = await store.open(key)
  const { sink } = gatheringSink()
  const broken = once(sink, 'close').catch((error: unknown) => error)
  await expect(blob?.sendTo(sink)).rejects.toThrow(BlobStoreError)
  await broken
  expect(sink.destroyed).toBe(true)
})

test('a server that falls silent is given up, before its answer and within it', async () => {
  const store = await storeOn(
    (request, response) => {
      if (request.method === 'HEAD' && request.url?.includes('.77')) return
      if (request.method === 'HEAD') head(response, 1000)
      else response.writeHead(206, { 'content-length': 1000 }).write(Buffer.alloc(10))
    },
    { retries: 0, idleTimeoutMs: 100 },
  )
  const { key } = freshBlob(1000)
  await expect(store.stat({ ...key, generation: 77 })).rejects.toMatchObject({ code: 'unavailable' })
  const blob = await store.open(key)
  await expect(blob?.sendTo(gatheringSink().sink)).rejects.toMatchObject({ code: 'unavailable' })
})

test('a server that hangs is not asked again and again, so that whoever waits is told in time', async () => {
  let requests = 0
  const store = await storeOn(() => void (requests += 1), { retries: 4, idleTimeoutMs: 200 })
  const begun = performance.now()
  await expect(store.stat(freshBlob(5).key)).rejects.toMatchObject({ code: 'unavailable' })
  expect(performance.now() - begun).toBeLessThan(1_000)
  expect(requests).toBe(1)
})

test('an abort ends a request that waits for a silent server', async () => {
  const abort = new AbortController()
  const store = await storeOn(() => abort.abort(new Error('client gone')))
  const { bytes, key } = freshBlob(10)
  await expect(store.write(key, chunksOf(bytes), { signal: abort.signal })).rejects.toThrow('client gone')
})

test('an object that was acknowledged but is not there is no success', async () => {
  const store = await storeOn((request, response) => {
    if (request.method === 'HEAD' && request.url?.includes('/blobs/blobs/')) {
      response.writeHead(404, { 'x-minio-error-code': 'NoSuchKey' }).end()
    } else response.writeHead(200, { etag: '"e"' }).end()
  })
  const { bytes, key } = freshBlob(10)
  await expect(store.write(key, chunksOf(bytes))).rejects.toMatchObject({ code: 'damaged' })
})

test('an object of another size than was sent is removed again', async () => {
  const { bytes, key } = freshBlob(10)
  let isThere = true
  const store = await storeOn((request, response) => {
    if (request.method === 'DELETE') isThere = false
    if (request.method === 'HEAD') head(response, 20)
    else response.writeHead(request.method === 'DELETE' ? 204 : 200, { etag: '"e"' }).end()
  })
  await expect(store.write(key, chunksOf(bytes))).rejects.toMatchObject({ code: 'damaged' })
  expect(isThere).toBe(false)
})

test('a finished upload whose answer got lost is a success', async () => {
  const { bytes, key } = freshBlob(9 * MiB)
  let completions = 0
  const store = await storeOn((request, response) => {
    if (request.method === 'HEAD') return head(response, bytes.length)
    if (request.method === 'PUT') return response.writeHead(200, { etag: '"e"' }).end()
    if (request.url?.includes('uploads')) {
      const body = '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>'
      return response.writeHead(200).end(body)
    }
    completions += 1
    return completions === 1 ? response.destroy() : xmlError(response, 404, 'NoSuchUpload')
  })
  expect((await store.write(key, chunksOf(bytes))).sizeBytes).toBe(bytes.length)
  expect(completions).toBe(2)
})

test('a part that fails for good aborts its upload', async () => {
  const { bytes, key } = freshBlob(20 * MiB)
  const aborted: string[] = []
  const store = await storeOn(
    (request, response) => {
      if (request.method === 'DELETE') aborted.push(request.url ?? '')
      if (request.method === 'DELETE') return response.writeHead(204).end()
      if (request.method === 'PUT') return xmlError(response, 500, 'InternalError')
      const body = '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>'
      return response.writeHead(200).end(body)
    },
    { retries: 0 },
  )
  await expect(store.write(key, chunksOf(bytes))).rejects.toMatchObject({ code: 'unavailable' })
  expect(aborted).toHaveLength(1)
  const part = store.writePart(freshId(), 0, chunksOf(bytes))
  await expect(part).rejects.toThrow(BlobStoreError)
})

test('five hundred pushers that stop in the middle take no more memory than all uploads may', async () => {
  const store = await storeOn((_request, response) => xmlError(response, 404, 'NoSuchKey'))
  // One buffer for all of them, so that only what the store keeps is measured.
  const sent = Buffer.alloc(4 * MiB)
  const over = new AbortController()
  const before = process.memoryUsage().arrayBuffers
  let fed = 0
  const stalled = Array.from({ length: 500 }, async () => {
    const source = async function* () {
      yield* chunksOf(sent)
      fed += 1
      await new Promise<void>(() => {
        // never
      })
    }
    await store.write({ ...freshBlob(1).key }, source(), { signal: over.signal })
  })
  const ends = Promise.allSettled(stalled)
  // Some have a slab, others have parked what they sent, and the rest waits in line.
  let [seen, quiet] = [0, 0]
  await until(async () => {
    quiet = fed === seen ? quiet + 1 : 0
    seen = fed
    return fed >= 5 && quiet > 45
  })
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * MiB)
  over.abort(new Error('enough'))
  expect((await ends).every(({ status }) => status === 'rejected')).toBe(true)
})
