import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

const thisMachine = new BlockList()
thisMachine.addSubnet('127.0.0.0', 8, 'ipv4')
thisMachine.addAddress('::1', 'ipv6')

/**
 * Whether what an address says of its client is believed: a proxy on this machine is, a neighbour in the network is not. He
 * could name another address for each guess of a password.
 */
export function isTrustedProxy(address: string): boolean {
  const family = isIP(address)
  return family !== 0 && thisMachine.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** The address that a request comes from: that of the connection, or what a proxy on this machine says. */
export function clientAddress(
  request: Pick<IncomingMessage, 'headers'> & { socket: { remoteAddress?: string | undefined } },
): string {
  const peer = request.socket.remoteAddress ?? ''
  const forwarded = request.headers['x-forwarded-for']
  if (!isTrustedProxy(peer) || typeof forwarded !== 'string') return peer
  // The last one is what the proxy saw; those before it are what its client said.
  const last = forwarded.split(',').at(-1)?.trim() ?? ''
  return isIP(last) ? last : peer
}
