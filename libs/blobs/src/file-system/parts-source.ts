import { join } from 'node:path'
import { BlobStoreError } from '../store/errors.ts'
import { partPath } from '../store/paths.ts'
import type { StagedPart } from '../store/store.ts'
import { closeFile, openFile, statFile } from './descriptors.ts'
import { errnoOf } from './failure.ts'
import type { RecentParts } from './recent-parts.ts'
import { readSome } from './send-file.ts'

const chunkBytes = 256 << 10

/** The recorded ranges of staged files, one after the other; of `recent` ones the bytes are here. */
export async function* readParts(
  root: string,
  parts: readonly StagedPart[],
  recent?: Pick<RecentParts, 'find'>,
): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    const bytes = recent?.find(part)
    if (bytes) {
      yield bytes
      continue
    }
    const fd = await openPart(root, part)
    try {
      // With a journal small parts are not flushed, so that a power cut may have cut them short or emptied them.
      if ((await statFile(fd)).size < part.sizeBytes) throw missing(part)
      const span = { fd, name: `part ${part.id}`, start: 0, sizeBytes: part.sizeBytes }
      for (let done = 0; done < part.sizeBytes; ) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(chunkBytes, part.sizeBytes - done))
        const count = await readSome(span, buffer, done)
        done += count
        yield buffer.subarray(0, count)
      }
    } finally {
      await closeFile(fd)
    }
  }
}

async function openPart(root: string, part: StagedPart): Promise<number> {
  try {
    return await openFile(join(root, partPath(part.id)))
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') throw cause
    throw missing(part, cause)
  }
}

function missing({ id }: StagedPart, cause?: unknown): BlobStoreError {
  return new BlobStoreError('missing_part', `part ${id} is gone; start the upload again`, { cause })
}
