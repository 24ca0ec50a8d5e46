/** A body of which the beginning was read. `source` gives all of it, from its first byte; `letGo` is for a body that is not read on. */
export type Peeked = { isWhole: boolean; sizeBytes: number; source: AsyncIterable<Buffer>; letGo(): void }

/**
 * Reads a body until it ends, has more than `mostBytes`, or has taken `patienceMs`. Where it is whole then, it need not be treated as one that
 * may go on for hours. A body that breaks off is not whole: its error comes out of `source`.
 */
export async function peekBody(
  body: AsyncIterable<Buffer>,
  { mostBytes, patienceMs }: { mostBytes: number; patienceMs: number },
): Promise<Peeked> {
  const iterator = body[Symbol.asyncIterator]()
  const chunks: Buffer[] = []
  let sizeBytes = 0
  let pending: Promise<IteratorResult<Buffer>> | undefined
  const { promise: late, resolve } = Promise.withResolvers<'late'>()
  const timer = setTimeout(() => resolve('late'), patienceMs)
  const letGo = () => void iterator.return?.().catch(() => 'its end is told to who reads it')
  const peeked = (isWhole: boolean): Peeked => ({
    isWhole,
    sizeBytes,
    source: resumed(chunks, pending, iterator),
    letGo,
  })
  try {
    while (sizeBytes <= mostBytes) {
      pending = iterator.next()
      const result = await Promise.race([pending.catch(() => 'broken' as const), late])
      if (result === 'late' || result === 'broken') return peeked(false)
      pending = undefined
      if (result.done) return peeked(true)
      chunks.push(result.value)
      sizeBytes += result.value.length
    }
    return peeked(false)
  } finally {
    clearTimeout(timer)
  }
}

/** What was read, then what is being read, then the rest. */
function resumed(
  chunks: Buffer[],
  pending: Promise<IteratorResult<Buffer>> | undefined,
  iterator: AsyncIterator<Buffer>,
): AsyncIterable<Buffer> {
  let next = pending
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        const value = chunks.shift()
        if (value) return Promise.resolve({ done: false, value })
        const result = next ?? iterator.next()
        next = undefined
        return result
      },
      return: async (value) => (await iterator.return?.(value)) ?? { done: true, value },
    }),
  }
}
