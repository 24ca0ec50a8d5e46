import type { BlobStore } from '@berth/blobs'
import type { Member, Piece } from './members.ts'

/** Bytes that were read when there was time; `undefined`: they are not there, or of another length. */
type Small = { bytes: Buffer | undefined }
export type PieceAhead = { piece: Piece; small: Small | undefined }
type Settled = Promise<PromiseSettledResult<Small>>

/** Up to here the way to a blob takes longer than its bytes: several are read at once. */
const smallBytes = 64 << 10
/** At once: a MiB of memory at most, and enough for a bucket, which takes its time for each. */
export const smallAtOnce = 16

export function isSmall({ sizeBytes }: Pick<Member, 'sizeBytes'>): boolean {
  return sizeBytes <= smallBytes
}

/** Reads a small member, whole and not compared with its digest yet. */
async function readSmall(blobs: BlobStore, { digest, generation, sizeBytes }: Member): Promise<Small> {
  const open = await blobs.open({ digest, generation })
  if (!open) return { bytes: undefined }
  try {
    if (open.sizeBytes !== sizeBytes) return { bytes: undefined }
    return { bytes: Buffer.concat(await open.stream().toArray()) }
  } finally {
    await open.close()
  }
}

/** The pieces of an archive in their order, with the bytes of small members, which are read while others are used. */
export async function* readAhead(blobs: BlobStore, pieces: AsyncGenerator<Piece>): AsyncGenerator<PieceAhead> {
  const queue: { piece: Piece; reading: Settled | undefined }[] = []
  let reading = 0
  let isOver = false
  const fill = async () => {
    while (!isOver && reading < smallAtOnce) {
      const { done, value: piece } = await pieces.next()
      if (done) isOver = true
      else if ('member' in piece && isSmall(piece.member)) {
        queue.push({ piece, reading: settled(readSmall(blobs, piece.member)) })
        reading++
      } else {
        queue.push({ piece, reading: undefined })
        // Behind a large member is time enough.
        if ('member' in piece) return
      }
    }
  }
  try {
    for (;;) {
      await fill()
      const first = queue.shift()
      if (!first) return
      if (first.reading) reading--
      yield { piece: first.piece, small: first.reading && valueOf(await first.reading) }
    }
  } finally {
    await Promise.all(queue.flatMap((one) => one.reading ?? []))
    await pieces.return(undefined)
  }
}

async function settled(work: Promise<Small>): Settled {
  const [outcome] = await Promise.allSettled([work])
  return outcome
}

function valueOf(outcome: PromiseSettledResult<Small>): Small {
  if (outcome.status === 'rejected') throw outcome.reason
  return outcome.value
}
