import type { BlobStore } from '@berth/blobs'
import { BadArchive } from '../archives/bad-archive.ts'
import type { ByteSource } from '../archives/byte-source.ts'
import { type Piece, unpackedPart } from './store-piece.ts'

/** A piece of an upload as what an archive is read from. It is opened for each reading: there may be thousands. */
export function pieceSource(blobs: BlobStore, piece: Piece): ByteSource {
  const name = piece.part === unpackedPart ? 'the unpacked archive' : `part ${piece.part}`
  const stream = async function* (offset: number, length: number, signal?: AbortSignal) {
    if (length === 0) return
    const blob = await blobs.open(piece)
    if (!blob) throw new BadArchive(`${name} at ${piece.startOffset}`, 'is gone: send the part again')
    try {
      const range = { start: offset, end: offset + length - 1 }
      for await (const chunk of blob.stream({ range, signal })) yield chunk as Buffer
    } finally {
      await blob.close()
    }
  }
  return {
    sizeBytes: piece.sizeBytes,
    stream,
    read: async (offset, length) => {
      const parts: Buffer[] = []
      for await (const chunk of stream(offset, length)) parts.push(chunk)
      return Buffer.concat(parts)
    },
    placeOf: (offset) => `${name} at ${piece.startOffset + offset}`,
    close: async () => {},
  }
}
