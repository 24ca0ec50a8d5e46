/**
 * Bytes that can be read from any place, and are not changed: a file, or what follows each other as if it were one. `placeOf` says
 * where an offset is to people: in which part, and where in it.
 */
export type ByteSource = {
  sizeBytes: number
  /** So many bytes from an offset on. Throws where there are fewer. */
  read(offset: number, length: number): Promise<Buffer>
  stream(offset: number, length: number, signal?: AbortSignal): AsyncIterable<Buffer>
  placeOf(offset: number): string
  close(): Promise<void>
}

const streamedBytes = 1 << 20

/** Streams a source that has nothing better than reading piece by piece. */
export async function* inPieces(
  source: Pick<ByteSource, 'read'>,
  offset: number,
  length: number,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  for (let at = 0; at < length; at += streamedBytes) {
    signal?.throwIfAborted()
    yield await source.read(offset + at, Math.min(streamedBytes, length - at))
  }
}

/** Several sources, one behind the other. */
export function joined(sources: readonly ByteSource[]): ByteSource {
  const [only] = sources
  if (only && sources.length === 1) return only
  const starts: number[] = []
  let sizeBytes = 0
  for (const source of sources) {
    starts.push(sizeBytes)
    sizeBytes += source.sizeBytes
  }
  /** The last one that begins at or before an offset. */
  const numberAt = (offset: number): number => {
    let [low, high] = [0, sources.length - 1]
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
  function* pieces(offset: number, length: number): Generator<{ source: ByteSource; from: number; count: number }> {
    for (let at = offset; at < offset + length; ) {
      const number = numberAt(at)
      const source = sources[number]
      const from = at - (starts[number] ?? 0)
      if (!source || from >= source.sizeBytes)
        throw new RangeError(`there are ${sizeBytes} bytes, and ${at} is behind them`)
      const count = Math.min(offset + length - at, source.sizeBytes - from)
      yield { source, from, count }
      at += count
    }
  }
  return {
    sizeBytes,
    read: async (offset, length) => {
      const parts: Buffer[] = []
      for (const { source, from, count } of pieces(offset, length)) parts.push(await source.read(from, count))
      const [first] = parts
      return first && parts.length === 1 ? first : Buffer.concat(parts)
    },
    stream: async function* (offset, length, signal) {
      for (const { source, from, count } of pieces(offset, length)) yield* source.stream(from, count, signal)
    },
    placeOf: (offset) => {
      const number = numberAt(offset)
      return sources[number]?.placeOf(offset - (starts[number] ?? 0)) ?? `offset ${offset}`
    },
    close: async () => {
      await Promise.all(sources.map((source) => source.close()))
    },
  }
}
