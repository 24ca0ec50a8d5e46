import type { Digest } from '@berth/oci'
import type { Archive } from '../archives/archive.ts'
import type { BroughtRepository } from '../archives/brought.ts'

const digestsAtOnce = 1_000

/** Answers of each blob of an archive whether it is asked about for the first time: a bit for each. */
export function createSeen({ blobs }: Archive): (digest: Digest) => boolean {
  const seen = new Uint8Array(Math.ceil(blobs.count / 8))
  return (digest) => {
    const number = blobs.numberOf(digest)
    if (number === undefined) return false
    const [at, bit] = [number >>> 3, 1 << (number & 7)]
    const isFirst = ((seen[at] ?? 0) & bit) === 0
    seen[at] = (seen[at] ?? 0) | bit
    return isFirst
  }
}

/** What a list carries, with sizes. What is held by a base is counted already. */
export async function* carriedBatches(
  brought: BroughtRepository,
  signal: AbortSignal | undefined,
): AsyncGenerator<Map<Digest, number>> {
  let batch = new Map<Digest, number>()
  for await (const line of brought.lines(signal)) {
    if (!('size' in line) || line.held || ('foreign' in line && line.foreign)) continue
    batch.set('manifest' in line ? line.manifest : line.blob, line.size)
    if (batch.size < digestsAtOnce) continue
    yield batch
    batch = new Map()
  }
  if (batch.size > 0) yield batch
}
