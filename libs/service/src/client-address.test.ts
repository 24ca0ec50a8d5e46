import { expect, test } from '@jest/globals'
import { clientAddress, listOf, trustProxies } from './client-address.ts'
import { networks, readConfig } from './config.ts'
import { networkOf, parseNetwork } from './networks.ts'

test.each([
  ['the connection says where a client is', '192.168.1.7', undefined, '192.168.1.7'],
  ['a neighbour is not believed to be somebody else', '192.168.1.7', '203.0.113.9', '192.168.1.7'],
  ['nor is one in a container network', '::ffff:10.0.0.3', '203.0.113.9', '10.0.0.3'],
  ['a proxy on this machine is believed', '127.0.0.1', '203.0.113.9', '203.0.113.9'],
  ['also over IPv6', '::1', '2001:db8::9', '2001:db8::9'],
  ['also as IPv6 writes IPv4', '::ffff:127.0.0.1', '203.0.113.9', '203.0.113.9'],
  ['what a client told the proxy is not', '127.0.0.1', '198.51.100.1, 203.0.113.9', '203.0.113.9'],
  ['what is no address counts for nothing', '127.0.0.1', 'localhost', '127.0.0.1'],
])('%s', (_what, remoteAddress, forwarded, expected) => {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  expect(clientAddress({ socket: { remoteAddress }, headers })).toBe(expected)
})

test.each([
  [
    'the right-most address that is no proxy of ours is the client',
    '10.0.0.3',
    '198.51.100.1, 203.0.113.9, 10.0.0.4',
    '203.0.113.9',
  ],
  ['a proxy of another network is not believed', '192.168.1.7', '203.0.113.9', '192.168.1.7'],
  ['nor is this machine, when it is not named', '127.0.0.1', '203.0.113.9', '127.0.0.1'],
  ['of nothing but proxies it is the farthest', '10.0.0.3', '10.0.0.5, 10.0.0.4', '10.0.0.5'],
  ['also over IPv6', '2001:db8:1::7', '2001:db8:2::9', '2001:db8:2::9'],
])('where proxies are named, %s', (_what, remoteAddress, forwarded, expected) => {
  const socket = { remoteAddress }
  trustProxies(socket, listOf(['10.0.0.0/8', '2001:db8:1::/48']))
  expect(clientAddress({ socket, headers: { 'x-forwarded-for': forwarded } })).toBe(expected)
})

test.each([
  ['192.0.2.1', '192.0.2.1', '192.0.2.1'],
  ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64', '2001:db8:0::/48'],
  ['2001:db8::1', '2001:db8:0:0::/64', '2001:db8:0::/48'],
  ['::1', '0:0:0:0::/64', '0:0:0::/48'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64', 'fe80:0:0::/48'],
  ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4::/64', '1:2:3::/48'],
  ['no address', 'no address', 'no address'],
])('%s is counted as %s and %s', (address, narrow, wide) => {
  expect([networkOf(address, 64), networkOf(address, 48)]).toEqual([narrow, wide])
})

test('networks are read from a list, and what is none stops the start', () => {
  const read = (value: string) => readConfig({ list: networks('NETS') }, { NETS: value }).list
  expect(read('10.0.0.0/8, 2001:db8::/32,192.0.2.7')).toEqual(['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'])
  expect(parseNetwork('192.0.2.7')).toEqual({ address: '192.0.2.7', bits: 32, family: 'ipv4' })
  for (const bad of ['10.0.0.0/33', 'proxy', '10.0.0.0/', '10.0.0.0/8/8', '2001:db8::/129', '10.0.0.0/8,,'])
    expect(() => read(bad)).toThrow('NETS')
})
