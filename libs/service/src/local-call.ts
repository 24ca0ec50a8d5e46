import type { InternalCall, InternalServer } from './internal-server.ts'

/** Finds a service that lives in this process and has started; without one, calls go over its listener. */
export type LocalPeers = (name: string) => InternalServer | undefined

const callerLeft = new DOMException('the caller has left', 'AbortError')

/**
 * Has a service in this process carry out a command. What holds over a socket holds here: the caller's wait is bounded, and
 * when it ends the command is told that its caller waits no more. Throws the Problem that the command threw.
 */
export async function callLocally(
  server: InternalServer,
  command: string,
  body: unknown,
  call: Omit<InternalCall, 'signal'> & { signal: AbortSignal | undefined },
): Promise<unknown> {
  const left = new AbortController()
  const { promise: gone, reject } = Promise.withResolvers<never>()
  const leave = (reason: unknown) => {
    left.abort(callerLeft)
    reject(reason)
  }
  const onAbort = () => leave(call.signal?.reason)
  const timer = setTimeout(() => leave(new LocalTimeout()), call.timeoutMs)
  if (call.signal?.aborted) onAbort()
  call.signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([server.run(command, body, { ...call, signal: left.signal }), gone])
  } finally {
    clearTimeout(timer)
    call.signal?.removeEventListener('abort', onAbort)
  }
}

/** A service in this process took longer than its caller waits. */
export class LocalTimeout extends Error {
  override name = 'LocalTimeout'
  constructor() {
    super('the service did not answer in time')
  }
}
