import { expect, test } from '@jest/globals'
import { peekBody } from './peek-body.ts'

const how = { mostBytes: 10, patienceMs: 10_000 }
const text = async (source: AsyncIterable<Buffer>) => Buffer.concat(await Array.fromAsync(source)).toString()

async function* bodyOf(...chunks: (string | Promise<string> | Error)[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    if (chunk instanceof Error) throw chunk
    yield Buffer.from(await chunk)
  }
}

test.each([
  { chunks: [], isWhole: true, sizeBytes: 0 },
  { chunks: ['all', ' here'], isWhole: true, sizeBytes: 8 },
  { chunks: ['ten', ' bytes.'], isWhole: true, sizeBytes: 10 },
  { chunks: ['eleven', ' bytes', ' and more'], isWhole: false, sizeBytes: 12 },
])('a body of $chunks is given whole, and known to be so where it is short', async ({ chunks, isWhole, sizeBytes }) => {
  const peeked = await peekBody(bodyOf(...chunks), how)
  expect(peeked).toMatchObject({ isWhole, sizeBytes })
  expect(await text(peeked.source)).toBe(chunks.join(''))
})

test('a body that takes long is not waited for, and loses nothing', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const peeked = await peekBody(bodyOf('slow', promise, ' end'), { ...how, patienceMs: 1 })
  expect(peeked.isWhole).toBe(false)
  resolve(' and steady')
  expect(await text(peeked.source)).toBe('slow and steady end')
})

test('a body that breaks off says so to who reads it, behind what came of it', async () => {
  const { isWhole, source } = await peekBody(bodyOf('half', new Error('hung up')), how)
  expect(isWhole).toBe(false)
  const read: string[] = []
  const reading = async () => {
    for await (const chunk of source) read.push(chunk.toString())
  }
  await expect(reading()).rejects.toThrow('hung up')
  expect(read).toEqual(['half'])
})

test('a body that nobody reads on is let go of', async () => {
  const ended: string[] = []
  const body = (async function* () {
    try {
      yield Buffer.from('more than ten')
      yield Buffer.from('never asked for')
    } finally {
      ended.push('ended')
    }
  })()
  const { source } = await peekBody(body, how)
  for await (const chunk of source) {
    expect(chunk.toString()).toBe('more than ten')
    break
  }
  expect(ended).toEqual(['ended'])
})
