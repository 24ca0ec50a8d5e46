import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { refuseBelowReserve } from '@berth/blobs'
import { BadArchive } from '../archives/bad-archive.ts'
import type { ByteSource } from '../archives/byte-source.ts'
import { dropPart, type PieceDeps, storePiece, unpackedPart } from './store-piece.ts'

const gzip = [0x1f, 0x8b]
const zstd = [0x28, 0xb5, 0x2f, 0xfd]
const others = [
  { name: 'bzip2', bytes: [0x42, 0x5a, 0x68] },
  { name: 'xz', bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a] },
  { name: 'a zip archive', bytes: [0x50, 0x4b, 0x03, 0x04] },
]
// A zip bomb unpacks to a thousand times its size and more; images seldom to more than ten.
const mostRatio = 200
const ratioFromBytes = 1 << 20
const pieceBytes = 64 << 20

/** By what an archive is compressed. Throws for what is not taken. */
export async function compressionOf(source: ByteSource): Promise<'gzip' | 'zstd' | undefined> {
  const first = await source.read(0, Math.min(6, source.sizeBytes))
  const begins = (bytes: readonly number[]) => bytes.every((byte, at) => first[at] === byte)
  const other = others.find(({ bytes }) => begins(bytes))
  if (other)
    throw new BadArchive(source.placeOf(0), `is ${other.name}; send a tar, plain or compressed by gzip or zstd`)
  return begins(gzip) ? 'gzip' : begins(zstd) ? 'zstd' : undefined
}

/**
 * Unpacks a compressed archive into pieces of the store, which are a part of the import by themselves: only what is not compressed can be read from
 * any place. Begun again it begins anew; what was stored before is stored.
 */
export async function unpackArchive(
  deps: PieceDeps,
  { importId, source, compression }: { importId: string; source: ByteSource; compression: 'gzip' | 'zstd' },
  { signal, onBytes }: { signal?: AbortSignal | undefined; onBytes?: (bytes: number) => void },
): Promise<void> {
  await dropPart(deps.db, importId, unpackedPart)
  let bytes = 0
  const unpacked = unpack(source, compression, signal)[Symbol.asyncIterator]()
  try {
    for (let rest: Buffer | undefined; ; ) {
      await refuseBelowReserve(deps.blobs)
      let left = pieceBytes
      let isEnd = false
      const piece = async function* () {
        while (left > 0) {
          const chunk: Buffer | undefined = rest ?? (await next(unpacked))
          rest = undefined
          if (!chunk) {
            isEnd = true
            return
          }
          const taken = chunk.subarray(0, left)
          if (taken.length < chunk.length) rest = chunk.subarray(left)
          left -= taken.length
          yield taken
        }
      }
      bytes = await storePiece(deps, { importId, part: unpackedPart, startOffset: bytes }, piece(), signal)
      onBytes?.(bytes)
      if (isEnd) break
    }
  } finally {
    await unpacked.return?.(undefined)
  }
  await deps.db.query('update import_job set unpacked = true where id = $1', [importId])
}

async function next(chunks: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  const { done, value } = await chunks.next()
  return done ? undefined : value
}

async function* unpack(source: ByteSource, compression: 'gzip' | 'zstd', signal?: AbortSignal): AsyncGenerator<Buffer> {
  let readBytes = 0
  const counted = async function* () {
    for await (const chunk of source.stream(0, source.sizeBytes, signal)) {
      readBytes += chunk.length
      yield chunk
    }
  }
  const unpacking =
    compression === 'gzip'
      ? createGunzip()
      : // The most memory that it may ask for: 128 MiB, as the zstd program itself has it.
        createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 27 } })
  // What goes wrong on the way comes out of the last stream of it, which is read below.
  pipeline(Readable.from(counted()), unpacking).catch(() => undefined)
  let bytes = 0
  try {
    for await (const chunk of unpacking as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > ratioFromBytes && bytes > readBytes * mostRatio)
        throw new BadArchive(
          source.placeOf(readBytes),
          `unpacks to more than ${mostRatio} times its size; send it uncompressed`,
        )
      yield chunk
    }
  } catch (error) {
    const { code = '' } = error as { code?: string }
    if (/^(Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB|ERR_BUFFER)/.test(code))
      throw new BadArchive(source.placeOf(Math.max(0, readBytes - 1)), `is near where it cannot be unpacked (${code})`)
    throw error
  }
}
