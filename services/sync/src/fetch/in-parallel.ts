import { unlessAborted } from '@berth/registry-client'

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
  const iterator = iterate(items)
  let failure: { error: unknown } | undefined
  const worker = async () => {
    try {
      for (;;) {
        both.throwIfAborted()
        // The source of the items may have none for a while: a failure elsewhere must not wait for the next one.
        const next = await unlessAborted(Promise.resolve(iterator.next()), both)
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

function iterate<T>(items: Iterable<T> | AsyncIterable<T>): Iterator<T> | AsyncIterator<T> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
}

/** Does work on one item after the other, and already on the next one while the result of one is used. */
export async function* oneAhead<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const iterator = iterate(items)
  const doNext = async () => {
    const item = await iterator.next()
    return item.done ? undefined : { result: await work(item.value) }
  }
  let next = doNext()
  for (let current = await next; current; current = await next) {
    // Only now: two at work at once would be no longer one ahead.
    next = doNext()
    // A failure is told to the caller that asks for this result, and is no fault when the results before it are not used up.
    next.catch(() => undefined)
    yield current.result
  }
}

/** Cuts items into lists of at most `size`. */
export function inBatches<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
}
