/** Waits for work that others share, and stops to wait when the signal says so; the work goes on. Throws the signal's reason. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work
  if (signal.aborted) {
    // The work is not waited for any more, so its failure needs a handler of its own.
    work.catch(() => {})
    throw signal.reason
  }
  let give = () => {}
  const aborted = new Promise<never>((_, reject) => {
    give = () => reject(signal.reason as Error)
    signal.addEventListener('abort', give, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', give)
  }
}
