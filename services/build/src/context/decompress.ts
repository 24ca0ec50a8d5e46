import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { mostRatio, ratioFromBytes } from './limits.ts'
import { contextRefused } from './refused.ts'

const gzip = [0x1f, 0x8b]
const zstd = [0x28, 0xb5, 0x2f, 0xfd]
const others = [
  { name: 'bzip2', bytes: [0x42, 0x5a, 0x68] },
  { name: 'xz', bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a] },
  { name: 'a zip archive', bytes: [0x50, 0x4b, 0x03, 0x04] },
]
const remedy = 'Send a tar, as it is or compressed by gzip or zstd: tar -czf context.tar.gz -C FOLDER .'

/** The bytes of a tar, whatever of gzip, zstd or nothing it is compressed by; its first bytes tell. */
export async function* decompress(source: Readable): AsyncGenerator<Buffer> {
  const { first, all } = await peek(source)
  const other = others.find(({ bytes }) => startsWith(first, bytes))
  if (other) throw contextRefused(`is ${other.name}`, remedy)
  if (startsWith(first, gzip) || startsWith(first, zstd)) yield* unpack(first, all)
  else yield* all
}

async function* unpack(first: Buffer, all: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let readBytes = 0
  const counted = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      readBytes += chunk.length
      yield chunk
    }
  }
  const unpacking = startsWith(first, gzip)
    ? createGunzip()
    : // The most memory that it may ask for: 128 MiB, as the zstd program itself has it.
      createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 27 } })
  // What goes wrong on the way comes out of the last stream of it, which is read below.
  pipeline(Readable.from(counted(all)), unpacking).catch(() => undefined)
  let bytes = 0
  try {
    for await (const chunk of unpacking as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > ratioFromBytes && bytes > readBytes * mostRatio)
        throw contextRefused(
          `unpacks to more than ${mostRatio} times its size`,
          'Leave out files that are mostly empty, or send the tar uncompressed.',
        )
      yield chunk
    }
  } catch (error) {
    const { code = '' } = error as { code?: string }
    if (/^(Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB|ERR_BUFFER)/.test(code))
      throw contextRefused(`is damaged: it cannot be unpacked (${code})`, 'Send it again.', error)
    throw error
  }
}

async function peek(source: Readable): Promise<{ first: Buffer; all: AsyncGenerator<Buffer> }> {
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let first: Buffer = Buffer.alloc(0)
  while (first.length < 6) {
    const next = await chunks.next()
    if (next.done) break
    first = Buffer.concat([first, next.value])
  }
  async function* all() {
    try {
      if (first.length > 0) yield first
      for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value
    } finally {
      await chunks.return?.()
    }
  }
  return { first, all: all() }
}

function startsWith(bytes: Buffer, magic: readonly number[]): boolean {
  return magic.every((byte, at) => bytes[at] === byte)
}
