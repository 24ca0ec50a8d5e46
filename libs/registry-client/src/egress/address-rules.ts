import { type LookupAddress, type LookupAllOptions, lookup as resolveBySystem } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { UpstreamError } from './upstream-error.ts'

/**
 * Addresses that a registry on the internet never has: private, loopback, link-local, carrier-grade NAT, multicast and
 * reserved ones, and the IPv6 forms that carry an IPv4 address inside (mapped, translated, 6to4, NAT64). A remote must allow them by
 * name, so that no user makes Berth ask its own neighbours (docs/guarantees.md#ssrf).
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
  '::ffff:0:0:0/96',
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
  return isIn(refused, address)
}

/*
 * Link-local addresses, and those at which clouds answer any program on the machine with its credentials, in the forms that carry
 * an IPv4 address too: no remote can allow these.
 */
const neverAsked = { ipv4: new BlockList(), ipv6: new BlockList() }
neverAsked.ipv4.addSubnet('169.254.0.0', 16, 'ipv4')
neverAsked.ipv4.addAddress('100.100.100.200', 'ipv4')
neverAsked.ipv6.addSubnet('fe80::', 10, 'ipv6')
neverAsked.ipv6.addAddress('fd00:ec2::254', 'ipv6')
for (const carrier of ['::', '::ffff:', '::ffff:0:', '64:ff9b::']) {
  neverAsked.ipv6.addSubnet(`${carrier}169.254.0.0`, 112, 'ipv6')
  neverAsked.ipv6.addAddress(`${carrier}100.100.100.200`, 'ipv6')
}
neverAsked.ipv6.addSubnet('2002:a9fe::', 32, 'ipv6')
neverAsked.ipv6.addSubnet('2002:6464:64c8::', 48, 'ipv6')

/** Whether an address literal is one that is never asked, whatever a remote allows. */
export function isNeverAsked(address: string): boolean {
  return isIn(neverAsked, address)
}

function isIn(lists: { ipv4: BlockList; ipv6: BlockList }, address: string): boolean {
  const [bare = ''] = address.split('%')
  const family = isIP(bare)
  if (family === 0) return false
  const name = family === 4 ? 'ipv4' : 'ipv6'
  return lists[name].check(bare, name)
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

export type AddressRuleOptions = {
  /** Hosts, by name or address, that may be private: those that a remote names itself. */
  openHosts?: readonly string[]
  /** What counts as private. */
  refuses?: (address: string) => boolean
  /** Finds the addresses of a name, as the system does it if nothing is said. */
  resolve?: Resolve
}

/** Makes the rule. A host that is open is so on every port; a redirect from it to another private one is refused like any other. */
export function createAddressRule(options: AddressRuleOptions = {}): AddressRule {
  const { openHosts = [], refuses = isPrivateAddress, resolve = resolveBySystem } = options
  const open = new Set(openHosts.map(bareHost))
  const check = (host: string, address: string) => {
    if (isNeverAsked(address)) throw addressRefused(host, 'is a link-local or metadata address, which is never asked')
    if (refuses(address) && !open.has(bareHost(host)))
      throw addressRefused(host, `is a private address; ${remedyFor(open.size > 0)}`)
  }
  return {
    checkHost: (hostname) => {
      const bare = bareHost(hostname)
      check(hostname, /(^|\.)localhost$/.test(bare) ? '127.0.0.1' : bare)
    },
    lookup: (hostname, options, callback) => {
      resolve(hostname, { ...options, all: true }, (error, addresses) => {
        if (error) return callback(error, '', 0)
        const [first] = addresses
        if (!first) return callback(addressRefused(hostname, 'stands for no address'), '', 0)
        try {
          for (const { address } of addresses) check(hostname, address)
        } catch (refusal) {
          return callback(refusal as UpstreamError, '', 0)
        }
        if (options.all) (callback as unknown as (error: null, all: LookupAddress[]) => void)(null, addresses)
        else callback(null, first.address, first.family)
      })
    },
  }
}

function bareHost(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
}

function remedyFor(isAllowed: boolean): string {
  return isAllowed
    ? 'add it to redirectHosts of the remote if it is meant'
    : 'set allowPrivateAddresses on the remote if it is meant, and name it in redirectHosts if it is not the registry itself'
}

function addressRefused(host: string, why: string): UpstreamError {
  return new UpstreamError('address_refused', `${host} ${why}`, { host })
}
