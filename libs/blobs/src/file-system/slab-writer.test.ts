import { expect, test } from '@jest/globals'
import { createSlabPool } from '../hashing/slabs.ts'
import type { Pieces } from './new-file.ts'
import { SlabWriter } from './slab-writer.ts'

const pool = createSlabPool({ limit: 4, kept: 1, bytes: 1 << 20 })
const sound = { update: async () => undefined, finish: async () => 'abc', drop: () => undefined }

function pieces(settle: Pieces['settle']): Pieces {
  return { put: async () => undefined, settle, close: async () => undefined }
}

test('when its hash fails a source ends only once nothing is done with its file any more', async () => {
  const broken = { ...sound, finish: () => Promise.reject(new Error('the thread died')) }
  const { promise, resolve } = Promise.withResolvers<void>()
  const writer = new SlabWriter(
    pieces(() => promise),
    broken,
    pool,
  )
  await writer.push(new Uint8Array(10))
  let ended = false
  const finishing = writer
    .finish(() => undefined)
    .catch((error: unknown) => {
      ended = true
      return error
    })
  await new Promise((later) => void setImmediate(later))
  expect(ended).toBe(false)
  resolve()
  expect(await finishing).toMatchObject({ message: 'the thread died' })
})

test('what a source is not wanted for is known before its pieces are settled', async () => {
  const heard: string[] = []
  const writer = new SlabWriter(
    pieces(async (proven) => {
      await proven.catch((error: Error) => heard.push(error.message))
    }),
    sound,
    pool,
  )
  await writer.push(new Uint8Array(10))
  const finishing = writer.finish(({ sizeBytes, hex }) => {
    throw new Error(`not wanted: ${sizeBytes} ${hex}`)
  })
  await expect(finishing).rejects.toThrow('not wanted: 10 abc')
  expect(heard).toEqual(['not wanted: 10 abc'])
})
