import { createAddressRule } from './egress/address-rules.ts'
import { createEgress } from './egress/egress.ts'
import { connectionError, UpstreamError } from './egress/upstream-error.ts'

export type Posted = { status: number; headers: Record<string, string>; body: string }

const timeouts = { connectMs: 5_000, headersMs: 15_000, idleMs: 15_000 }

/**
 * Sends a text to where somebody else said, which an egress lets it only where that is no private address or `allowPrivateAddresses`. No
 * redirect is followed. Answers any status, and of the body what comes within `keptBytes`. Throws `UpstreamError`; all of it takes
 * `withinMs` at most.
 */
export async function postGuarded(options: {
  url: URL
  headers: Record<string, string>
  body: string
  /** In PEM: trusted for this host alone, in place of the usual authorities. */
  ca?: string | undefined
  allowPrivateAddresses: boolean
  withinMs: number
  keptBytes: number
  signal: AbortSignal
}): Promise<Posted> {
  const { url, headers, body, ca, allowPrivateAddresses, withinMs, keptBytes } = options
  const addressRule = createAddressRule(allowPrivateAddresses ? { refuses: () => false } : {})
  const way = { headers: {}, tls: { ca }, timeouts, connections: 1, proxy: undefined, addressRule }
  const egress = createEgress({ ...way, origin: url, isRare: true })
  const late = AbortSignal.timeout(withinMs)
  const signal = AbortSignal.any([options.signal, late])
  try {
    const answer = await egress.send({ method: 'POST', url, headers, body, signal })
    const chunks: Buffer[] = []
    let left = keptBytes
    // What is beyond goes with its connection.
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      chunks.push(chunk.subarray(0, left))
      left -= chunk.length
      if (left <= 0) break
    }
    return { status: answer.status, headers: answer.headers, body: Buffer.concat(chunks).toString('utf8') }
  } catch (error) {
    if (late.aborted)
      throw new UpstreamError('timeout', `${url.host} did not answer within ${withinMs / 1000} seconds`, {
        host: url.host,
        cause: error,
      })
    options.signal.throwIfAborted()
    // Named anew, without the path: of chat services it is what opens them.
    const cause = error instanceof UpstreamError ? error.cause : error
    throw cause === undefined ? error : connectionError(url.host, 'POST', cause)
  } finally {
    await egress.close()
  }
}
