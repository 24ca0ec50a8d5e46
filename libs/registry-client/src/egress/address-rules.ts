import { type LookupAddress, type LookupAllOptions, lookup as resolveBySystem } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { UpstreamError } from '../upstream-error.ts'

/**
 * Addresses that a registry on the internet never has: private, loopback, link-local, carrier-grade NAT, multicast and
 * reserved ones, and the IPv6 forms that carry an IPv4 address inside (mapped, 6to4, NAT64). A remote must allow them by
 * name, so that nobody makes Berth ask its own neighbours (reliability.md §3.2, SSRF).
 */
// One list a family: in one for both, `::ffff:0:0/96` would mean every IPv4 address.
const refused = { ipv4: new BlockList(), ipv6: new BlockList() }
const networks4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]
const networks6 = [
  '::/96',
  '::ffff:0:0/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/32',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
]
for (const [networks, family] of [
  [networks4, 'ipv4'],
  [networks6, 'ipv6'],
] as const) {
  for (const network of networks) {
    const [address = '', prefix = ''] = network.split('/')
    refused[family].addSubnet(address, Number(prefix), family)
  }
}

/** Whether an address literal is one that must be allowed explicitly. */
export function isPrivateAddress(address: string): boolean {
  const [bare = ''] = address.split('%')
  const family = isIP(bare)
  if (family === 0) return false
  const name = family === 4 ? 'ipv4' : 'ipv6'
  return refused[name].check(bare, name)
}

/** What may be connected to: nothing that `refuses` names, be it written as an address or found under a name. */
export type AddressRule = {
  /** Refuses a host that is itself such an address, for no name is looked up then, or this machine by name. */
  checkHost(hostname: string): void
  /**
   * A look-up that gives only addresses that may be connected to. The connection is made to what was checked here, so a name
   * that changes its address in between gains nothing.
   */
  lookup: LookupFunction
}
type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

/** Makes the rule; `resolve` finds the addresses of a name, as the system does it if nothing is said. */
export function createAddressRule(refuses = isPrivateAddress, resolve: Resolve = resolveBySystem): AddressRule {
  return {
    checkHost: (hostname) => {
      const bare = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
      if (refuses(bare) || (/(^|\.)localhost$/.test(bare) && refuses('127.0.0.1'))) throw addressRefused(hostname)
    },
    lookup: (hostname, options, callback) => {
      resolve(hostname, { ...options, all: true }, (error, addresses) => {
        if (error) return callback(error, '', 0)
        const [first] = addresses
        if (!first || addresses.some(({ address }) => refuses(address)))
          return callback(addressRefused(hostname), '', 0)
        if (options.all) (callback as unknown as (error: null, all: LookupAddress[]) => void)(null, addresses)
        else callback(null, first.address, first.family)
      })
    },
  }
}

function addressRefused(host: string): UpstreamError {
  return new UpstreamError(
    'address_refused',
    `${host} is a private address; set allowPrivateAddresses on the remote if it is meant`,
    { host },
  )
}
