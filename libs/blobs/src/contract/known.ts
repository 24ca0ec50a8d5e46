import { describe, expect, test } from '@jest/globals'
import { DigestMismatch } from '../store/errors.ts'
import type { BlobKey } from '../store/store.ts'
import { breakingAfter, chunksOf, freshBlob, MiB, readAll, type Subject, staged } from './subject.ts'

const changedAt = (bytes: Buffer, ...places: number[]) => {
  const changed = Buffer.from(bytes)
  for (const at of places) changed[at] = (changed[at] ?? 0) ^ 1
  return changed
}

/** What may lie where the bytes of a blob of 9 MiB and some are said to be, if anything does. */
const found: Record<string, (bytes: Buffer) => Buffer | undefined> = {
  'just they': (bytes) => bytes,
  nothing: () => undefined,
  'bytes that rotted at their beginning': (bytes) => changedAt(bytes, 0),
  'bytes that rotted at their end': (bytes) => changedAt(bytes, bytes.length - 1),
  'bytes that rotted here and there': (bytes) => changedAt(bytes, 3 * MiB, 7 * MiB + 5),
  'bytes that were cut short': (bytes) => bytes.subarray(0, 5 * MiB + 7),
  'more bytes than they have': (bytes) => Buffer.concat([bytes, Buffer.from('more')]),
  'no byte at all': () => Buffer.alloc(0),
}

/** Writes of bytes that are said to be there already. A driver may write them all the same. */
export function knownContract(subject: () => Subject): void {
  const twice = () => {
    const { bytes, key } = freshBlob(9 * MiB + 1234)
    const there: BlobKey = { ...key, generation: key.generation + 1_000_000 }
    return { store: subject().store, bytes, key, there }
  }

  describe.each(Object.entries(found))('where bytes are said to be there already lies %s:', (name, make) => {
    test('they are there once they are written, and of wrong ones nothing is', async () => {
      const { store, bytes, key, there } = twice()
      await store.write(there, chunksOf(bytes))
      const lying = make(bytes)
      if (lying) await subject().damage(there, lying)
      else await store.remove(there)
      const how = { there: async () => there }
      const wrong = changedAt(bytes, bytes.length - 1)
      await expect(store.write(key, chunksOf(wrong), how)).rejects.toThrow(DigestMismatch)
      await expect(store.write(key, breakingAfter(bytes, new Error('hung up')), how)).rejects.toThrow('hung up')
      expect(await store.stat(key)).toBeUndefined()
      expect(await staged(store)).toEqual([])
      const { sizeBytes, isThere } = await store.write(key, chunksOf(bytes), how)
      expect(sizeBytes).toBe(bytes.length)
      if (isThere) expect(name).toBe('just they')
      expect((await readAll(store, isThere ? there : key)).equals(bytes)).toBe(true)
      expect((await store.stat(key)) === undefined).toBe(isThere === true)
      expect(await staged(store)).toEqual([])
    })
  })

  test('whoever may not write is told so, also where the bytes are there already', async () => {
    const { store, bytes, key, there } = twice()
    await store.write(there, chunksOf(bytes))
    const generation = Promise.reject(new Error('a mirror takes no pushes'))
    generation.catch(() => 'told by the write')
    const writing = store.write({ ...key, generation }, chunksOf(bytes), { there: async () => there })
    await expect(writing).rejects.toThrow('takes no pushes')
    expect(await staged(store)).toEqual([])
  })

  test('where nobody knows whether bytes are there they are written', async () => {
    const { store, bytes, key } = twice()
    expect(await store.write(key, chunksOf(bytes), { there: async () => undefined })).not.toHaveProperty('isThere')
    expect((await readAll(store, key)).equals(bytes)).toBe(true)
  })
}
