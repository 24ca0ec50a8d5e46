import { once } from 'node:events'
import { PassThrough, Writable } from 'node:stream'
import { expect, test } from '@jest/globals'
import { BlobStoreError } from '../store/errors.ts'
import { chunksOf, freshBlob, gatheringSink, MiB, readAll, type Subject, sendAll } from './subject.ts'

export function readingContract(subject: () => Subject): void {
  test.each([0, 10, 64 << 10, 5 * MiB + 3])('%i bytes are sent whole', async (sizeBytes) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(sizeBytes)
    await store.write(key, chunksOf(bytes))
    expect((await sendAll(store, key)).equals(bytes)).toBe(true)
  })

  test.each([0, 10, 64 << 10, 5 * MiB + 3])('%i bytes are lent whole, and a range of them', async (sizeBytes) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(sizeBytes)
    await store.write(key, chunksOf(bytes))
    for (const range of sizeBytes > 1 ? [undefined, { start: 1, end: sizeBytes - 1 }] : [undefined]) {
      const blob = await store.open(key)
      const taken: Buffer[] = []
      // Copied at once: a chunk is another's when the next one comes.
      for await (const chunk of blob?.lend({ range }) ?? []) taken.push(Buffer.from(chunk))
      await blob?.close()
      expect(Buffer.concat(taken).equals(bytes.subarray(range?.start ?? 0))).toBe(true)
    }
  })

  test('what was lent and is left in the middle is read to its end by the next', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(5 * MiB)
    await store.write(key, chunksOf(bytes))
    const blob = await store.open(key)
    for await (const chunk of blob?.lend() ?? []) if (chunk.length > 0) break
    await blob?.close()
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
  })

  test('any range is read and sent exactly, both ends included', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(3 * MiB)
    await store.write(key, chunksOf(bytes))
    const last = bytes.length - 1
    for (const [start, end] of [
      [0, 0],
      [last, last],
      [5, 70_004],
      [MiB, 2 * MiB],
      [1, last],
      [0, last],
    ] as const) {
      const expected = bytes.subarray(start, end + 1)
      expect((await readAll(store, key, { start, end })).equals(expected)).toBe(true)
      expect((await sendAll(store, key, { start, end })).equals(expected)).toBe(true)
    }
    for (const range of [
      { start: 0, end: bytes.length },
      { start: 3, end: 2 },
      { start: -1, end: 2 },
    ]) {
      await expect(sendAll(store, key, range)).rejects.toThrow(RangeError)
      await expect(readAll(store, key, range)).rejects.toThrow(RangeError)
    }
  })

  test.each([0, 10, 3 * MiB])(
    'to say what is read first of %i bytes changes nothing but the way there',
    async (sizeBytes) => {
      const { store } = subject()
      const { bytes, key } = freshBlob(sizeBytes)
      expect(await store.open(key, { sizeBytes })).toBeUndefined()
      await store.write(key, chunksOf(bytes))
      const whole = await store.open(key, { sizeBytes })
      // Twice, though only the first read was begun.
      for (let i = 0; i < 2; i++) {
        const { sink, taken } = gatheringSink()
        await whole?.sendTo(sink)
        expect(Buffer.concat(taken).equals(bytes)).toBe(true)
      }
      await whole?.close()
      const larger = await store.open(key, { sizeBytes: sizeBytes + 1 })
      expect(larger?.sizeBytes).toBe(sizeBytes)
      await larger?.close()
    },
  )

  test('a sink whose other side is gone is no failure of the store', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(MiB)
    await store.write(key, chunksOf(bytes))
    const blob = await store.open(key)
    const gone = Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' })
    const sink = new Writable({ write: (_chunk, _encoding, done) => done(gone) })
    sink.on('error', () => undefined)
    await expect(blob?.sendTo(sink)).rejects.toMatchObject({ code: 'reader_left', cause: gone })
    await blob?.close()
  })

  test('a slow sink is never given more than it asked for', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(6 * MiB)
    await store.write(key, chunksOf(bytes))
    const blob = await store.open(key)
    const { sink, taken, mostWaitingBytes } = gatheringSink()
    await blob?.sendTo(sink)
    await blob?.close()
    expect(Buffer.concat(taken).equals(bytes)).toBe(true)
    expect(mostWaitingBytes()).toBeLessThanOrEqual(MiB)
    expect(sink.writableEnded).toBe(false)
  })

  test('a sink that keeps the buffers it is given still sees the right bytes', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(6 * MiB)
    await store.write(key, chunksOf(bytes))
    const blob = await store.open(key)
    const sink = new PassThrough({ highWaterMark: 64 * MiB })
    await blob?.sendTo(sink)
    await blob?.close()
    sink.end()
    expect(Buffer.concat(await Array.fromAsync(sink)).equals(bytes)).toBe(true)
  })

  test('a sink that is destroyed midway ends the sending', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(6 * MiB)
    await store.write(key, chunksOf(bytes))
    const blob = await store.open(key)
    // Never calls back: only its end can wake the sender.
    const sink = new Writable({ write: () => void setImmediate(() => sink.destroy()) })
    await expect(blob?.sendTo(sink)).rejects.toThrow(BlobStoreError)
    await expect(blob?.sendTo(sink)).rejects.toThrow(BlobStoreError)
    await blob?.close()
  })

  test('an abort midway ends the sending and breaks the sink', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(6 * MiB)
    await store.write(key, chunksOf(bytes))
    const blob = await store.open(key)
    const abort = new AbortController()
    const sink = new Writable({ write: () => abort.abort(new Error('request over')) })
    const broken = once(sink, 'close').catch((error: unknown) => error)
    await expect(blob?.sendTo(sink, { signal: abort.signal })).rejects.toThrow('request over')
    await broken
    expect(sink.destroyed).toBe(true)
    await blob?.close()
  })

  test('a stream is stopped by its signal and by its reader', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(6 * MiB)
    await store.write(key, chunksOf(bytes))
    const blob = await store.open(key)
    const abort = new AbortController()
    const reading = async () => {
      for await (const chunk of blob?.stream({ signal: abort.signal }) ?? []) if (chunk) abort.abort()
    }
    await expect(reading()).rejects.toThrow(/abort/i)
    for await (const chunk of blob?.stream() ?? []) {
      expect(chunk).toBeDefined()
      break
    }
    await blob?.close()
    await blob?.close()
  })

  test('what is not there is absent, and nothing else is', async () => {
    const { store, broken } = subject()
    const { bytes, key } = freshBlob(10)
    expect(await store.stat(key)).toBeUndefined()
    expect(await store.open(key)).toBeUndefined()
    for (const failing of Object.values(broken)) {
      await expect(failing.stat(key)).rejects.toThrow(BlobStoreError)
      await expect(failing.open(key)).rejects.toThrow(BlobStoreError)
      await expect(failing.remove(key)).rejects.toThrow(BlobStoreError)
      await expect(failing.write(key, chunksOf(bytes))).rejects.toThrow(BlobStoreError)
      await expect(Array.fromAsync(failing.walk())).rejects.toThrow(BlobStoreError)
    }
  })

  test('checking twice changes nothing and leaves nothing', async () => {
    const { store } = subject()
    await store.check()
    await store.check()
    expect(await Array.fromAsync(store.walkStaged({ olderThan: new Date(Date.now() + 60_000) }))).toEqual([])
  })
}
