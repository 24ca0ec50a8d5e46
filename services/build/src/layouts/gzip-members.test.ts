import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { gzipMembers } from './gzip-members.ts'

const mebibyte = 1 << 20
/** Bytes that nothing compresses, and those that everything does. */
const dense = Buffer.concat(
  Array.from({ length: 4 * (mebibyte / 32) }, (_, n) => createHash('sha256').update(`${n}`).digest()),
)
const text = Buffer.alloc(4 * mebibyte, 'what is said again and again, in nearly the same words. ')

async function pack(bytes: Buffer, chunkBytes: number): Promise<Buffer> {
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
  }
  const members: Buffer[] = []
  for await (const member of gzipMembers(chunks())) members.push(member)
  return Buffer.concat(members)
}

test('the same bytes make the same gzip file, in whatever chunks they come', async () => {
  const bytes = Buffer.concat([dense.subarray(0, 3_000_001), text.subarray(0, 3_000_001)])
  const packed = await pack(bytes, mebibyte)
  expect(gunzipSync(packed).equals(bytes)).toBe(true)
  for (const chunkBytes of [1000, 65_537, 3 * mebibyte, bytes.length])
    expect((await pack(bytes, chunkBytes)).equals(packed)).toBe(true)
  expect(gunzipSync(await pack(Buffer.from('short'), 1)).toString()).toBe('short')
})

test('what gets no smaller takes a thousandth more at most, and what is beside it gets as small as ever', async () => {
  const packed = await pack(dense, mebibyte)
  expect(packed.length).toBeLessThan(dense.length * 1.001)
  const both = await pack(Buffer.concat([dense, text]), mebibyte)
  expect(both.length - packed.length).toBeLessThan(text.length / 50)
  // Bytes that come again within the reach of gzip are found.
  const again = Buffer.concat(Array.from({ length: 256 }, () => dense.subarray(0, 12_000)))
  expect((await pack(again, mebibyte)).length).toBeLessThan(again.length / 10)
})
