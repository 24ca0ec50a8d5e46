/**
 * Works through items, `width` at a time. The first failure stops the rest: what runs is aborted and waited for, and then
 * the failure goes on.
 */
export async function inParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  width: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController()
  const both = AbortSignal.any([signal, failed.signal])
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let failure: { error: unknown } | undefined
  const worker = async () => {
    try {
      for (;;) {
        both.throwIfAborted()
        const next = await iterator.next()
        if (next.done) return
        await work(next.value, both)
      }
    } catch (error) {
      failure ??= { error }
      failed.abort()
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  if (failure) throw failure.error
}

/** Does work on one item after the other, and already on the next one while the result of one is used. */
export async function* oneAhead<T, R>(items: readonly T[], work: (item: T) => Promise<R>): AsyncGenerator<R> {
  const begin = (item: T) => {
    const result = work(item)
    // A failure is told to whoever asks for this result, and to nobody when the results before it are not used up.
    result.catch(() => undefined)
    return result
  }
  let next: Promise<R> | undefined
  for (const [place, item] of items.entries()) {
    const current = next ?? begin(item)
    const following = items[place + 1]
    // Only now: two at work at once would be no longer one ahead.
    const result = await current
    next = following === undefined ? undefined : begin(following)
    yield result
  }
}

/** Cuts items into lists of at most `size`. */
export function inBatches<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
}
