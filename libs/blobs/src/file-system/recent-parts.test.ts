import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { createRecentParts } from './recent-parts.ts'

const longest = 2 ** 30
const partOf = (id: string) => ({ id, startOffset: 0, sizeBytes: 10, sha256: `of ${id}` })
const bytes = new Uint8Array(10)

/** Files that are written when the test says so. */
function disk() {
  const asked: string[] = []
  const waiting = new Map<string, () => void>()
  return {
    asked,
    write: (id: string) => () =>
      new Promise<void>((resolve) => {
        asked.push(id)
        waiting.set(id, resolve)
      }),
    finish: (id: string) => waiting.get(id)?.(),
  }
}

test('a part that is published before its time gets no file, and one that is not gets one', async () => {
  const { asked, write, finish } = disk()
  const parts = createRecentParts({ isAlone: true, restMs: 20 })
  for (const id of ['soon', 'late']) await parts.add(partOf(id), bytes, write(id))
  expect(await parts.take(partOf('soon'))).toEqual({ bytes, hasFile: false })
  expect(await parts.forget('soon')).toBe(false)
  while (asked.length === 0) await turn()
  expect(asked).toEqual(['late'])
  const taking = parts.take(partOf('late'))
  finish('late')
  expect(await taking).toEqual({ bytes, hasFile: true })
  expect(await parts.forget('late')).toBe(true)
})

test('a part of another record than the one that is kept is not found', async () => {
  const parts = createRecentParts({ isAlone: true, restMs: longest })
  await parts.add(partOf('one'), bytes, async () => undefined)
  expect(parts.find({ ...partOf('one'), sha256: 'another' })).toBeUndefined()
  expect(parts.find(partOf('one'))).toEqual(bytes)
  expect(parts.has('one')).toBe(true)
  await parts.close()
})

test('where there is no room the oldest get their files, and who comes waits for that', async () => {
  const { asked, write, finish } = disk()
  const parts = createRecentParts({ isAlone: true, mostBytes: 2_100, restMs: longest })
  for (const id of ['first', 'second']) await parts.add(partOf(id), bytes, write(id))
  let added = false
  const adding = parts.add(partOf('third'), bytes, write('third')).then(() => {
    added = true
  })
  await turn()
  expect({ asked, added }).toEqual({ asked: ['first'], added: false })
  finish('first')
  await adding
  expect(parts.find(partOf('first'))).toBeUndefined()
  expect(parts.find(partOf('second'))).toEqual(bytes)
  for (const id of ['second', 'third']) await parts.forget(id)
})

test('the end waits until all have their files, and one that is forgotten meanwhile for its own', async () => {
  const { asked, write, finish } = disk()
  const parts = createRecentParts({ isAlone: true, restMs: longest })
  for (const id of ['first', 'second']) await parts.add(partOf(id), bytes, write(id))
  const ended: string[] = []
  const closing = parts.close().then(() => ended.push('closed'))
  const forgetting = parts.forget('second').then((hadFile) => ended.push(`forgot ${hadFile}`))
  await turn()
  expect({ asked, ended }).toEqual({ asked: ['first', 'second'], ended: [] })
  finish('second')
  await forgetting
  expect(ended).toEqual(['forgot true'])
  finish('first')
  await closing
})

test('where others may publish it a part has its file before it is answered, and a disk that fails is an error', async () => {
  const parts = createRecentParts({ restMs: longest })
  const { asked, write, finish } = disk()
  const adding = parts.add(partOf('one'), bytes, write('one'))
  expect(asked).toEqual(['one'])
  finish('one')
  await adding
  expect(await parts.take(partOf('one'))).toEqual({ bytes, hasFile: true })
  const failing = parts.add(partOf('two'), bytes, () => Promise.reject(new Error('ENOSPC')))
  await expect(failing).rejects.toThrow('ENOSPC')
  expect(parts.has('two')).toBe(false)
  await parts.close()
  expect(asked).toEqual(['one'])
})
