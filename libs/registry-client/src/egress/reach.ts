import type { LookupAddress } from 'node:dns'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { createAddressRule } from './address-rules.ts'
import type { TlsOptions } from './agents.ts'
import { unlessAborted } from './unless-aborted.ts'
import { connectionError } from './upstream-error.ts'

// The way to a registry step by step, as the agents go it at once: to find out where it ends.

/** The addresses of a host. Throws `UpstreamError`, address_refused for private ones unless it may have such. */
export async function lookUp(url: URL, allowPrivateAddresses: boolean, signal: AbortSignal): Promise<string[]> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const rule = createAddressRule({ openHosts: allowPrivateAddresses ? [host] : [] })
  rule.checkHost(host)
  if (isIP(host) !== 0) return [host]
  try {
    const looking = new Promise<LookupAddress[]>((resolve, reject) => {
      const done = (error: Error | null, all: unknown) => (error ? reject(error) : resolve(all as LookupAddress[]))
      rule.lookup(host, { all: true }, done)
    })
    const found = await unlessAborted(looking, signal)
    return found.map(({ address }) => address)
  } catch (error) {
    throw connectionError(host, 'the look-up of its name', error)
  }
}

/** A connection to one of the addresses, the first that takes it. Throws `UpstreamError`. */
export async function dial(url: URL, addresses: readonly string[], signal: AbortSignal): Promise<Socket> {
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  let last: unknown
  for (const address of addresses) {
    const socket = connectTcp({ host: address, port })
    try {
      await opened(socket, 'connect', signal)
      return socket
    } catch (error) {
      last = error
      socket.destroy()
      if (signal.aborted) break
    }
  }
  throw connectionError(url.host, 'a connection', last)
}

/** TLS over a connection; answers what the other side shows. Throws `UpstreamError` tls. */
export async function shakeHands(url: URL, socket: Socket, tls: TlsOptions, signal: AbortSignal): Promise<string> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const secure = connectTls({
    socket,
    ...(isIP(host) === 0 ? { servername: host } : { host }),
    rejectUnauthorized: tls.verify ?? true,
    ...(tls.ca ? { ca: tls.ca } : {}),
    ...(tls.cert ? { cert: tls.cert } : {}),
    ...(tls.key ? { key: tls.key } : {}),
  })
  try {
    await opened(secure, 'secureConnect', signal)
    const { subject, valid_to: end } = secure.getPeerCertificate()
    return `${secure.getProtocol()}, certificate of ${String(subject?.CN ?? 'nobody')}, good until ${end}`
  } catch (error) {
    throw connectionError(url.host, 'TLS', error)
  } finally {
    secure.destroy()
  }
}

async function opened(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  await unlessAborted(
    new Promise<void>((resolve, reject) => {
      socket.once(event, resolve)
      // Not once: a socket may report more than one, and one without a listener ends the process.
      socket.on('error', reject)
      socket.once('close', () => reject(new Error('the connection was closed')))
    }),
    signal,
  )
}
