import { isIP } from 'node:net'

export type Network = { address: string; bits: number; family: 'ipv4' | 'ipv6' }

/** Reads `10.0.0.0/8`, `2001:db8::/32` or a single address; `undefined` for anything else. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', bitsText, more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || more !== undefined) return undefined
  const most = version === 4 ? 32 : 128
  const bits = bitsText === undefined ? most : Number(bitsText)
  if (!(bitsText === undefined || /^\d{1,3}$/.test(bitsText)) || bits > most) return undefined
  return { address, bits, family: version === 4 ? 'ipv4' : 'ipv6' }
}

/**
 * The network that an address is counted under: itself for IPv4, the first `bits` (a multiple of 16) for IPv6, for a client
 * that has one address of IPv6 has a whole network of them. What is no address is counted as it is.
 */
export function networkOf(address: string, bits: 48 | 64): string {
  if (isIP(address) !== 6) return address
  return `${groupsOf(address)
    .slice(0, bits / 16)
    .join(':')}::/${bits}`
}

/** The eight groups of an address of IPv6, without leading zeros. */
function groupsOf(address: string): string[] {
  // The parser of URLs writes an address in its one short form, an embedded one of IPv4 included; it takes no zone.
  const { hostname } = new URL(`http://[${address.split('%', 1)[0]}]`)
  const [head = '', tail] = hostname.slice(1, -1).split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => '0'), ...after]
}
