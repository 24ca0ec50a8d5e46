import { expect, test } from '@jest/globals'
import { BlobStoreError, BlobTooLarge, DigestMismatch, PartInterrupted } from '../store/errors.ts'
import type { BlobStore, StagedPart } from '../store/store.ts'
import {
  breakingAfter,
  chunksOf,
  freshBlob,
  freshId,
  hangingAfter,
  hexOfBytes,
  MiB,
  readAll,
  type Subject,
  staged,
} from './subject.ts'

export function partsContract(subject: () => Subject): void {
  test.each([0, 1000, 9 * MiB])('one whole part of %i bytes is published, twice over, as once', async (sizeBytes) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(sizeBytes)
    const part = await store.writePart(freshId(), 0, chunksOf(bytes))
    expect(part).toMatchObject({ startOffset: 0, sizeBytes, sha256: hexOfBytes(bytes) })
    expect(await store.stat(key)).toBeUndefined()
    const kept = JSON.parse(JSON.stringify([part])) as StagedPart[]
    expect((await store.publish(kept, key)).sizeBytes).toBe(sizeBytes)
    expect((await store.publish(kept, key)).sizeBytes).toBe(sizeBytes)
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
    await store.discardParts([part.id])
    expect(await staged(store)).toEqual([])
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
  })

  test.each([1000, 9 * MiB])(
    'a part of %i bytes is kept beyond its discard until it has healed what it is a copy of',
    async (size) => {
      const { store, damage } = subject()
      const { bytes, key } = freshBlob(size)
      await store.write(key, chunksOf(bytes))
      const again = async () => {
        const part = await store.writePart(freshId(), 0, chunksOf(bytes))
        expect((await store.publish([part], key, { isThere: true })).sizeBytes).toBe(size)
        await store.discardParts([part.id])
        await store.compared()
        expect(await staged(store)).toEqual([])
        expect((await readAll(store, key)).equals(bytes)).toBe(true)
      }
      await damage(key, Buffer.alloc(size))
      await again()
      await again()
      await damage(key, Buffer.alloc(size + 1))
      await again()
      // Said to be there, and lost.
      await store.remove(key)
      await again()
    },
  )

  test('a blob of no parts is the empty blob', async () => {
    const { store } = subject()
    const { key } = freshBlob(0)
    expect((await store.publish([], key)).sizeBytes).toBe(0)
    expect(await readAll(store, key)).toHaveLength(0)
    await expect(store.publish([], freshBlob(5).key)).rejects.toThrow(DigestMismatch)
  })

  test.each(['sha256', 'sha512'] as const)('many parts, in any order, make one blob under %s', async (algorithm) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(9 * MiB + 17, algorithm)
    const cuts = [0, 1, 1, 70_000, 5 * MiB, bytes.length]
    const parts = await stageCuts(store, bytes, cuts)
    await store.publish([...parts].reverse(), key)
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
    await store.publish(parts, key)
    await store.discardParts(parts.map(({ id }) => id))
    expect(await staged(store)).toEqual([])
  })

  test('one part under a sha512 digest is hashed again', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(300_000, 'sha512')
    const part = await store.writePart(freshId(), 0, chunksOf(bytes))
    await expect(store.publish([part], freshBlob(300_000, 'sha512').key)).rejects.toThrow(DigestMismatch)
    await store.publish([part], key)
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
    await store.discardParts([part.id])
  })

  test('parts that are not the digest are refused, stay, and nothing is visible', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(2 * MiB)
    const wrong = freshBlob(2 * MiB).key
    const whole = await store.writePart(freshId(), 0, chunksOf(bytes))
    const halves = await stageCuts(store, bytes, [0, MiB, 2 * MiB])
    await expect(store.publish([whole], wrong)).rejects.toThrow(DigestMismatch)
    await expect(store.publish(halves, wrong)).rejects.toThrow(DigestMismatch)
    expect(await store.stat(wrong)).toBeUndefined()
    await store.publish(halves, key)
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
    await store.discardParts([whole, ...halves].map(({ id }) => id))
  })

  test('a digest that is stored already is no excuse for parts that are not it', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(1000)
    await store.write(key, chunksOf(bytes))
    const part = await store.writePart(freshId(), 0, chunksOf(freshBlob(1000).bytes))
    await expect(store.publish([part], key)).rejects.toThrow(DigestMismatch)
    await store.discardParts([part.id])
  })

  test('parts with a gap, an overlap, or gone are an error that says so', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(1000)
    const [first, second] = (await stageCuts(store, bytes, [0, 400, 1000])) as [StagedPart, StagedPart]
    await expect(store.publish([second], key)).rejects.toMatchObject({ code: 'conflict' })
    await expect(store.publish([first, { ...second, startOffset: 300 }], key)).rejects.toMatchObject({
      code: 'conflict',
    })
    await store.discardParts([second.id])
    await expect(store.publish([first, second], key)).rejects.toMatchObject({ code: 'missing_part' })
    await store.discardParts([first.id, second.id])
    expect(await store.stat(key)).toBeUndefined()
  })

  test.each([0, 1000, 9 * MiB])(
    'a part that breaks off after %i bytes is kept as far as it came',
    async (sizeBytes) => {
      const { store } = subject()
      const { bytes, key } = freshBlob(sizeBytes + 1000)
      const head = bytes.subarray(0, sizeBytes)
      const failed = store.writePart(freshId(), 0, breakingAfter(head, new Error('connection reset')))
      const first = await interrupted(failed)
      expect(first).toMatchObject({ startOffset: 0, sizeBytes, sha256: hexOfBytes(head) })
      const rest = await store.writePart(freshId(), first.sizeBytes, chunksOf(bytes.subarray(sizeBytes)))
      await store.publish([first, rest], key)
      expect((await readAll(store, key)).equals(bytes)).toBe(true)
      await store.discardParts([first.id, rest.id])
    },
  )

  test.each([1000, 9 * MiB])('an abort after %i bytes of a part keeps them', async (sizeBytes) => {
    const { store } = subject()
    const { bytes, key } = freshBlob(sizeBytes)
    const abort = new AbortController()
    const source = hangingAfter(bytes, () => abort.abort(new Error('client gone')))
    const part = await interrupted(store.writePart(freshId(), 0, source, { signal: abort.signal }))
    expect(part).toMatchObject({ sizeBytes, sha256: hexOfBytes(bytes) })
    await store.publish([part], key)
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
    await store.discardParts([part.id])
  })

  test('a part past its limit is refused and dropped', async () => {
    const { store } = subject()
    const { bytes } = freshBlob(9 * MiB)
    await expect(store.writePart(freshId(), 0, chunksOf(bytes), { limitBytes: 8 * MiB })).rejects.toThrow(BlobTooLarge)
    expect(await staged(store)).toEqual([])
  })

  test('an id is used once, and never leads out of staging', async () => {
    const { store } = subject()
    const { bytes } = freshBlob(10)
    const part = await store.writePart(freshId(), 0, chunksOf(bytes))
    await expect(store.writePart(part.id, 0, chunksOf(bytes))).rejects.toMatchObject({ code: 'conflict' })
    for (const id of ['', '..', '../x', 'a/b', 'a.b', 'x'.repeat(129), 'a\0']) {
      await expect(store.writePart(id, 0, chunksOf(bytes))).rejects.toThrow(BlobStoreError)
      await expect(store.discardParts([id])).rejects.toThrow(BlobStoreError)
    }
    await store.discardParts([part.id, part.id, freshId()])
    expect(await staged(store)).toEqual([])
  })

  test('16 who publish the same digest from parts of their own all succeed', async () => {
    const { store } = subject()
    const { bytes, key } = freshBlob(300_000)
    const parts = await Promise.all(Array.from({ length: 16 }, () => store.writePart(freshId(), 0, chunksOf(bytes))))
    const published = await Promise.all(parts.map((part) => store.publish([part], key)))
    expect(published.map(({ sizeBytes }) => sizeBytes)).toEqual(Array(16).fill(300_000))
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
    await store.discardParts(parts.map(({ id }) => id))
    expect(await staged(store)).toEqual([])
  })

  test('a sweeper finds what is left in staging, with the id of its part, and can discard it', async () => {
    const { store } = subject()
    // Large enough to have a file or an object of its own from the beginning.
    const part = await store.writePart(freshId(), 0, chunksOf(freshBlob(200_000).bytes))
    const young = await Array.fromAsync(store.walkStaged({ olderThan: new Date(Date.now() - 60_000) }))
    expect(young).toEqual([])
    const [leftover] = await Array.fromAsync(store.walkStaged({ olderThan: new Date(Date.now() + 60_000) }))
    expect(leftover?.partId).toBe(part.id)
    expect(await leftover?.discard()).toBe(true)
    expect(await leftover?.discard()).toBe(false)
    expect(await staged(store)).toEqual([])
  })
}

async function stageCuts(store: BlobStore, bytes: Buffer, cuts: number[]): Promise<StagedPart[]> {
  const parts: StagedPart[] = []
  for (const [index, start] of cuts.slice(0, -1).entries()) {
    parts.push(await store.writePart(freshId(), start, chunksOf(bytes.subarray(start, cuts[index + 1]))))
  }
  return parts
}

async function interrupted(writing: Promise<StagedPart>): Promise<StagedPart> {
  const error = await writing.then(
    () => undefined,
    (failure: unknown) => failure,
  )
  if (error instanceof PartInterrupted) return error.part
  throw error ?? new Error('the part did not break off')
}
