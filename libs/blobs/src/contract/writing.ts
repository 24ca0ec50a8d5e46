import { describe, expect, test } from '@jest/globals'
import { BlobTooLarge, DigestMismatch, SizeMismatch } from '../store/errors.ts'
import { breakingAfter, chunksOf, freshBlob, hangingAfter, MiB, readAll, type Subject, staged } from './subject.ts'

// Below and above what is hashed inline, one part or slab, and several of either with a remainder.
const sizes = [0, 1, 1024, 128 << 10, (128 << 10) + 1, MiB, 8 * MiB, 20 * MiB + 12345]

export function writingContract(subject: () => Subject): void {
  test.each(sizes)('%i bytes come out as they went in', async (sizeBytes) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(sizeBytes)
    const written = await store.write(key, chunksOf(bytes), { expectedBytes: sizeBytes })
    expect(written.sizeBytes).toBe(sizeBytes)
    expect((await store.stat(key))?.sizeBytes).toBe(sizeBytes)
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
  })

  test.each([1000, 3 * MiB])('a sha512 digest names %i bytes as well', async (sizeBytes) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(sizeBytes, 'sha512')
    await store.write(key, chunksOf(bytes))
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
  })

  test.each([10, 9 * MiB])('%i bytes that do not match their digest never become visible', async (sizeBytes) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(sizeBytes)
    const wrong = Buffer.from(bytes)
    wrong[sizeBytes - 1] = (wrong[sizeBytes - 1] ?? 0) ^ 1
    await expect(store.write(key, chunksOf(wrong))).rejects.toThrow(DigestMismatch)
    expect(await store.stat(key)).toBeUndefined()
    expect(await staged(store)).toEqual([])
  })

  test.each([10, 9 * MiB])('a source of %i bytes that is shorter or longer than announced is refused', async (size) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(size)
    await expect(store.write(key, chunksOf(bytes), { expectedBytes: size + 1 })).rejects.toThrow(SizeMismatch)
    await expect(store.write(key, chunksOf(bytes), { expectedBytes: size - 1 })).rejects.toThrow(SizeMismatch)
    await expect(store.write(key, chunksOf(bytes), { limitBytes: size - 1 })).rejects.toThrow(BlobTooLarge)
    expect(await store.stat(key)).toBeUndefined()
    expect(await staged(store)).toEqual([])
    expect((await store.write(key, chunksOf(bytes), { limitBytes: size })).sizeBytes).toBe(size)
  })

  test.each([10, 9 * MiB])(
    'a source that fails after %i bytes leaves nothing and tells its own error',
    async (size) => {
      const { store } = subject()
      const { bytes, key } = freshBlob(size)
      await expect(store.write(key, breakingAfter(bytes, new Error('upstream hung up')))).rejects.toThrow('hung up')
      expect(await store.stat(key)).toBeUndefined()
      expect(await staged(store)).toEqual([])
    },
  )

  test.each([10, 9 * MiB])(
    'an abort after %i bytes ends a write whose source hangs, and leaves nothing',
    async (size) => {
      const { store } = subject()
      const { bytes, key } = freshBlob(size)
      const abort = new AbortController()
      const source = hangingAfter(bytes, () => abort.abort(new Error('client gone')))
      await expect(store.write(key, source, { signal: abort.signal })).rejects.toThrow('client gone')
      expect(await store.stat(key)).toBeUndefined()
      expect(await staged(store)).toEqual([])
    },
  )

  test('the chunks of a source that gives them away take no memory once they are stored', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(20 * MiB)
    const given: Uint8Array[] = []
    const source = async function* () {
      for await (const slice of chunksOf(bytes)) {
        const chunk = new Uint8Array(slice)
        given.push(chunk)
        yield chunk
      }
    }
    await store.write(key, source(), { givesChunks: true })
    expect(given.filter(({ buffer }) => buffer.byteLength > 0)).toEqual([])
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
  })

  test('a chunk that shares its memory leaves it to the others', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(3 * MiB)
    await store.write(key, chunksOf(bytes), { givesChunks: true })
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
  })

  test('an abort that came before the write stops it', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(10)
    await expect(store.write(key, chunksOf(bytes), { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i)
    expect(await store.stat(key)).toBeUndefined()
  })

  test.each([1024, 2 * MiB])('16 who write the same %i bytes at once all succeed', async (sizeBytes) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(sizeBytes)
    const writes = Array.from({ length: 16 }, () => store.write(key, chunksOf(bytes)))
    for (const written of await Promise.all(writes)) expect(written.sizeBytes).toBe(sizeBytes)
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
    expect(await staged(store)).toEqual([])
  })

  test('wrong bytes for a digest that is stored already are refused and change nothing', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(1024)
    await store.write(key, chunksOf(bytes))
    await expect(store.write(key, chunksOf(Buffer.alloc(1024)))).rejects.toThrow(DigestMismatch)
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
  })

  test.each([1024, 9 * MiB])(
    '%i bytes that rotted where they lie are whole again once they are written again',
    async (size) => {
      const { store, damage } = subject()
      const { bytes, key } = freshBlob(size)
      await store.write(key, chunksOf(bytes))
      const rotten = Buffer.from(bytes)
      rotten[size - 1] = (rotten[size - 1] ?? 0) ^ 1
      await damage(key, rotten)
      expect((await readAll(store, key)).equals(rotten)).toBe(true)
      expect((await store.write(key, chunksOf(bytes))).sizeBytes).toBe(size)
      await store.compared()
      expect((await readAll(store, key)).equals(bytes)).toBe(true)
      expect(await staged(store)).toEqual([])
    },
  )

  describe.each([10, 2 * MiB])('a blob of %i bytes that counts under another key', (size) => {
    const twice = async () => {
      const { store } = subject()
      const { bytes, key } = freshBlob(size)
      const own = { ...key, generation: key.generation + 1 }
      for (const one of [key, own]) await store.write(one, chunksOf(bytes))
      return { store, bytes, key, own }
    }

    test('stays, and the one that gives way goes', async () => {
      const { store, bytes, key, own } = await twice()
      for (let time = 0; time < 2; time++) await store.giveWay(own, key)
      await store.compared()
      expect((await readAll(store, key)).equals(bytes)).toBe(true)
      expect(await store.stat(own)).toBeUndefined()
    })

    test('is replaced where it is damaged', async () => {
      const { store, bytes, key, own } = await twice()
      await subject().damage(key, Buffer.alloc(size, 'rot'))
      await store.giveWay(own, key)
      await store.compared()
      expect((await readAll(store, key)).equals(bytes)).toBe(true)
      expect(await store.stat(own)).toBeUndefined()
    })

    test('is there at once where it was lost or cut short', async () => {
      for (const rest of [undefined, Buffer.alloc(1)]) {
        const { store, bytes, key, own } = await twice()
        if (rest) await subject().damage(key, rest)
        else await store.remove(key)
        await store.giveWay(own, key)
        expect((await readAll(store, key)).equals(bytes)).toBe(true)
        await store.compared()
        expect(await store.stat(own)).toBeUndefined()
      }
    })
  })

  test('what the store notes of itself is replaced as a whole, is no blob, and is nothing at first', async () => {
    const { store } = subject()
    expect(await store.readNote('berth-cleaner.json')).toBeUndefined()
    for (const text of ['first', 'the second, which is longer', 'x']) {
      await store.writeNote('berth-cleaner.json', text)
      expect(await store.readNote('berth-cleaner.json')).toBe(text)
    }
    expect(await staged(store)).toEqual([])
  })

  test('generations of a digest live and die apart', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(1024)
    const next = { ...key, generation: key.generation + 1 }
    await store.write(key, chunksOf(bytes))
    expect(await store.stat(next)).toBeUndefined()
    await store.write(next, chunksOf(bytes))
    expect(await store.remove(key)).toBe(true)
    expect(await store.open(key)).toBeUndefined()
    expect((await readAll(store, next)).equals(bytes)).toBe(true)
  })

  test('removing says whether there was something to remove', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(10)
    expect(await store.remove(key)).toBe(false)
    await store.write(key, chunksOf(bytes))
    expect(await store.remove(key)).toBe(true)
    expect(await store.remove(key)).toBe(false)
    expect(await store.stat(key)).toBeUndefined()
  })

  test('walking finds every blob once, with its size', async () => {
    const { store } = subject()
    const before = Date.now() - 60_000
    const blobs = [freshBlob(5), freshBlob(2 * MiB), freshBlob(7, 'sha512')]
    for (const { bytes, key } of blobs) await store.write(key, chunksOf(bytes))
    const [first] = blobs as [(typeof blobs)[number]]
    const twin = { ...first, key: { ...first.key, generation: 1_000_000 } }
    await store.write(twin.key, chunksOf(twin.bytes))
    const found = await Array.fromAsync(store.walk())
    for (const { key, bytes } of [...blobs, twin]) {
      const seen = found.filter((f) => f.digest === key.digest && f.generation === key.generation)
      expect(seen.map((f) => f.sizeBytes)).toEqual([bytes.length])
      expect(seen[0]?.modifiedAt.getTime()).toBeGreaterThan(before)
    }
  })
}
