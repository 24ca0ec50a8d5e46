import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { checkContext, cleanContext } from './check-context.ts'
import { padding, type TarHeader, tarEnd, writeHeader } from './tar-header.ts'

const limits = { bytes: 64 << 20, files: 100 }
const file = { type: '0', mode: 0o644, size: 0, mtime: 0, linkName: '' }

function tarOf(...entries: (Partial<TarHeader> & { name: string; content?: Buffer })[]): Buffer {
  const parts = entries.flatMap(({ content = Buffer.alloc(0), ...entry }) => [
    writeHeader({ ...file, size: content.length, ...entry }),
    content,
    padding(content.length),
  ])
  return Buffer.concat([...parts, tarEnd])
}

/** A header with extended attributes before it, as pax has them. */
function pax(records: Record<string, string>): { name: string; type: string; content: Buffer } {
  const lines = Object.entries(records).map(([key, value]) => {
    const body = ` ${key}=${value}\n`
    let length = body.length + 1
    while (String(length).length + body.length !== length) length = String(length).length + body.length
    return `${length}${body}`
  })
  return { name: 'pax', type: 'x', content: Buffer.from(lines.join('')) }
}

function refusalOf(bytes: Buffer, own = limits): Promise<unknown> {
  return checkContext(Readable.from(chunksOf(bytes)), own).catch((error: unknown) => error)
}

function* chunksOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
}

describe('a context that is refused, with what is wrong and a remedy', () => {
  const big = Buffer.alloc(20 << 20)
  test.each<[string, Buffer, RegExp]>([
    ['a path that leaves', tarOf({ name: 'a/../../b' }), /"a\/\.\.\/\.\.\/b" leaves the context/],
    ['an absolute path', tarOf({ name: '/etc/passwd' }), /absolute/],
    ['an absolute path in an extended header', tarOf(pax({ path: '/etc/passwd' }), { name: 'a' }), /absolute/],
    ['a hard link that leaves', tarOf({ name: 'a', type: '1', linkName: '../x' }), /leaves the context/],
    ['a hard link to an absolute path', tarOf({ name: 'a', type: '1', linkName: '/etc/shadow' }), /absolute/],
    ['a device', tarOf({ name: 'a', type: '3' }), /is a device/],
    ['a named pipe', tarOf({ name: 'a', type: '6' }), /is a named pipe/],
    ['a sparse file of GNU', tarOf({ name: 'a', type: 'S' }), /sparse/],
    ['a sparse file of pax', tarOf(pax({ 'GNU.sparse.major': '1' }), { name: 'a' }), /sparse/],
    ['an unknown kind', tarOf({ name: 'a', type: 'Z' }), /unknown kind/],
    ['a folder with content', tarOf({ name: 'a/', type: '5', content: Buffer.alloc(9) }), /folder with content/],
    ['a name too long', tarOf({ name: 'a'.repeat(300) }), /255 bytes/],
    ['a path too long', tarOf({ name: 'a/'.repeat(3000) }), /4096 bytes/],
    [
      'a flood of attributes',
      tarOf(pax({ 'SCHILY.xattr.user.a': 'a'.repeat(1 << 20) }), { name: 'a' }),
      /extended header/,
    ],
    ['too many files', tarOf(...Array.from({ length: 101 }, (_, at) => ({ name: `f${at}` }))), /more than 100 files/],
    ['too many bytes', tarOf({ name: 'a', size: limits.bytes + 1 }), /more than 67108864 bytes/],
    ['an impossible size', tarOf(pax({ size: '-5' }), { name: 'a' }), /impossible size/],
    ['one that breaks off', tarOf({ name: 'a', content: Buffer.alloc(5000) }).subarray(0, 3000), /breaks off/],
    ['a damaged header', Buffer.concat([tarOf({ name: 'a' }).subarray(0, 512), Buffer.alloc(512, 1)]), /checksum/],
    ['a text', Buffer.from('FROM scratch\n'.repeat(100)), /is no tar/],
    ['nothing', Buffer.alloc(0), /is no tar/],
    ['a zip archive', Buffer.from('PK\u0003\u0004aaaaaaaa'), /is a zip archive/],
    ['a gzip bomb', gzipSync(tarOf({ name: 'a', content: big })), /200 times its size/],
    ['a zstd bomb', zstdCompressSync(tarOf({ name: 'a', content: big })), /200 times its size/],
    ['a damaged gzip', gzipSync(tarOf({ name: 'a' })).fill(7, 30, 60), /damaged/],
    ['a gzip that is cut', gzipSync(tarOf({ name: 'a' })).subarray(0, 60), /damaged|breaks off/],
  ])('%s', async (_, bytes, message) => {
    expect(await refusalOf(bytes)).toMatchObject({
      status: 400,
      code: 'context_refused',
      message: expect.stringMatching(message),
      options: { field: 'context', hint: expect.stringMatching(/\S/) },
    })
  })
})

describe('a context', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'berth-context-'))
    execFileSync('sh', ['-c', 'mkdir -p in/sub; ln -s ../../etc in/sub/up; echo one > in/one; ln in/one in/two'], {
      cwd: folder,
    })
    writeFileSync(path.join(folder, 'in', 'ü'.repeat(120)), 'long name')
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test.each(['ustar-like gnu', 'pax'])('comes through as it was, plain, by gzip and by zstd (%s)', async (format) => {
    const tar = execFileSync('tar', [`--format=${format.split(' ').at(-1)}`, '-c', '-C', 'in', '.'], { cwd: folder })
    for (const bytes of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
      const clean: Buffer[] = []
      for await (const chunk of cleanContext(Readable.from(chunksOf(bytes)), limits)) clean.push(chunk)
      const out = mkdtempSync(path.join(folder, 'out-'))
      execFileSync('tar', ['-x', '-C', out], { input: Buffer.concat(clean) })
      expect(execFileSync('sh', ['-c', 'diff -r --no-dereference in "$0"', out], { cwd: folder }).toString()).toBe('')
    }
  })

  test('of many bytes is read in little memory', async () => {
    const size = 512 << 20
    async function* bytes() {
      yield writeHeader({ ...file, name: 'a', size })
      const chunk = Buffer.alloc(1 << 20)
      for (let left = size; left > 0; left -= chunk.length) yield chunk
      yield tarEnd
    }
    const before = process.memoryUsage.rss()
    await checkContext(Readable.from(bytes()), { bytes: 1 << 30, files: 1 })
    expect(process.memoryUsage.rss() - before).toBeLessThan(128 << 20)
  })
})
