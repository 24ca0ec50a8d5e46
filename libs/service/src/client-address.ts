import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { parseNetwork } from './networks.ts'

/** What is believed when nothing else is set: a proxy on this machine is, a neighbour in the network is not. */
export const thisMachine = ['127.0.0.0/8', '::1/128']
const loopback = listOf(thisMachine)
// By connection, as the listener that took it was told. A connection that it does not know is judged as this machine is.
const trustOf = new WeakMap<object, BlockList>()

type Request = Pick<IncomingMessage, 'headers'> & { socket: { remoteAddress?: string | undefined } }

/** Networks (CIDR) in which every address is a proxy of ours. Throws for what is no network. */
export function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const parsed = parseNetwork(network)
    if (!parsed) throw new Error(`${network} is no network`)
    list.addSubnet(parsed.address, parsed.bits, parsed.family)
  }
  return list
}

/** Notes for the requests of a connection which proxies are believed. */
export function trustProxies(socket: object, list: BlockList): void {
  trustOf.set(socket, list)
}

/** Whether an address is one of a proxy that is believed. */
export function isIn(list: BlockList, address: string): boolean {
  const family = isIP(address)
  return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** Whether an address is one of this machine's own, which nobody else can send from. */
function isFromThisMachine(address: string): boolean {
  return isIn(loopback, plain(address))
}

/**
 * Whether the client of a request is on this machine: the peer of its connection and, where that is a proxy, the client that the
 * proxy names. What a proxy in another place says of its client is no proof that the client is here.
 */
export function isFromHere(request: Request): boolean {
  return isFromThisMachine(request.socket.remoteAddress ?? '') && isFromThisMachine(clientAddress(request))
}

/**
 * The address that a request comes from. Of what `X-Forwarded-For` says, each trusted proxy vouches for the one address that it
 * saw, which is the last: so the client is the right-most address that is no trusted proxy. A neighbour that is none could
 * otherwise name another address for each guess of a password. An address of IPv4 is written as such, also where it came over
 * IPv6.
 */
export function clientAddress(request: Request): string {
  const trusted = trustOf.get(request.socket) ?? loopback
  const forwarded = request.headers['x-forwarded-for']
  const named = typeof forwarded === 'string' ? forwarded.split(',').map((one) => one.trim()) : []
  let address = plain(request.socket.remoteAddress ?? '')
  while (isIn(trusted, address)) {
    const before = plain(named.pop() ?? '')
    if (isIP(before) === 0) break
    address = before
  }
  return address
}

function plain(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
}
