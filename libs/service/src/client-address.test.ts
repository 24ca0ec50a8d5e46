import { expect, test } from '@jest/globals'
import { clientAddress } from './client-address.ts'

test.each([
  ['the connection says where a client is', '192.168.1.7', undefined, '192.168.1.7'],
  ['a neighbour is not believed to be somebody else', '192.168.1.7', '203.0.113.9', '192.168.1.7'],
  ['nor is one in a container network', '::ffff:10.0.0.3', '203.0.113.9', '::ffff:10.0.0.3'],
  ['a proxy on this machine is believed', '127.0.0.1', '203.0.113.9', '203.0.113.9'],
  ['also over IPv6', '::1', '2001:db8::9', '2001:db8::9'],
  ['also as IPv6 writes IPv4', '::ffff:127.0.0.1', '203.0.113.9', '203.0.113.9'],
  ['what a client told the proxy is not', '127.0.0.1', '198.51.100.1, 203.0.113.9', '203.0.113.9'],
  ['what is no address counts for nothing', '127.0.0.1', 'localhost', '127.0.0.1'],
])('%s', (_what, remoteAddress, forwarded, expected) => {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  expect(clientAddress({ socket: { remoteAddress }, headers })).toBe(expected)
})
