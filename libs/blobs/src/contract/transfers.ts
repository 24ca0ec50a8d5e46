import { expect, test } from '@jest/globals'
import { BlobStoreError } from '../store/errors.ts'
import { breakingAfter, chunksOf, freshBlob, freshId, MiB, type Subject, staged } from './subject.ts'

export function transfersContract(subject: () => Subject): void {
  test.each([0, 10, 9 * MiB])(
    'a transfer of %i bytes is there until it is removed, and is no blob',
    async (sizeBytes) => {
      const { store } = subject()
      const { bytes } = freshBlob(sizeBytes)
      const folder = `out-${freshId()}`
      expect(await store.hasTransfers(folder)).toBe(false)
      const blobs = (await Array.fromAsync(store.walk())).length
      const stored = await store.writeTransfer(`${folder}/deep/a.tar`, chunksOf(bytes), { expectedBytes: sizeBytes })
      expect(stored.sizeBytes).toBe(sizeBytes)
      expect(await store.hasTransfers(folder)).toBe(true)
      expect(await store.hasTransfers(`${folder}/deep/a.tar`)).toBe(true)
      expect(await store.hasTransfers(`${folder}/deep/a`)).toBe(false)
      expect(await staged(store)).toEqual([])
      expect(await Array.fromAsync(store.walk())).toHaveLength(blobs)
      // Replaced by what is written again under its path.
      await store.writeTransfer(`${folder}/deep/a.tar`, chunksOf(bytes))
      expect(await store.removeTransfers(folder)).toBe(true)
      expect(await store.hasTransfers(folder)).toBe(false)
      expect(await store.removeTransfers(folder)).toBe(false)
    },
  )

  test('nothing is seen of a transfer whose source breaks off or is of another size', async () => {
    const { store } = subject()
    const { bytes } = freshBlob(9 * MiB)
    const path = `out-${freshId()}/a.tar`
    const breaks = store.writeTransfer(path, breakingAfter(bytes, new Error('broken')))
    await expect(breaks).rejects.toThrow('broken')
    await expect(store.writeTransfer(path, chunksOf(bytes), { expectedBytes: bytes.length + 1 })).rejects.toThrow(
      'were announced',
    )
    expect(await store.hasTransfers(path)).toBe(false)
    expect(await staged(store)).toEqual([])
  })

  test.each(['', '/etc/x', '../x', 'a//b', 'a/../b', 'a/', '.x', 'a\0b', 'a'.repeat(300)])(
    'the path %j is none of a transfer',
    async (path) => {
      const { store } = subject()
      const refused = async () => store.writeTransfer(path, chunksOf(Buffer.from('x')))
      await expect(refused()).rejects.toThrow(BlobStoreError)
    },
  )
}
