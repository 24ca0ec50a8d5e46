import type { Writable } from 'node:stream'

/**
 * Writes bytes into a pipe of a sandbox and closes it; stops without an error when the sandbox has ended. Not by `pipeline`, which
 * waits for ever where the pipe was closed before its first byte.
 */
export async function feed(
  source: Iterable<Buffer> | AsyncIterable<Buffer>,
  into: Writable,
  signal: AbortSignal,
): Promise<void> {
  // That nobody reads any more is seen below; why, the sandbox tells itself.
  into.on('error', () => undefined)
  for await (const chunk of source) {
    if (signal.aborted || into.destroyed) return
    if (!into.write(chunk)) await writable(into, signal)
  }
  if (!into.destroyed) into.end()
}

async function writable(into: Writable, signal: AbortSignal): Promise<void> {
  if (signal.aborted || into.destroyed) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const go = () => resolve()
  const events = ['drain', 'close', 'error']
  for (const event of events) into.once(event, go)
  signal.addEventListener('abort', go)
  await promise
  for (const event of events) into.off(event, go)
  signal.removeEventListener('abort', go)
}
