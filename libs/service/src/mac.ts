import { hash } from 'node:crypto'

const blockBytes = 64

/**
 * HMAC-SHA-256 under one key (RFC 2104), for what is proven with each request: two hashes of one call each cost a fifth of the key
 * object and the stream that `createHmac` makes for every message. The key has 64 bytes at most.
 */
export function createMac(key: Uint8Array): (message: Uint8Array) => Buffer {
  if (key.length > blockBytes) throw new RangeError(`a key of ${key.length} bytes is longer than a block`)
  const inner = Buffer.alloc(blockBytes, 0x36)
  const outer = Buffer.alloc(blockBytes, 0x5c)
  for (const [i, byte] of key.entries()) {
    inner[i] = 0x36 ^ byte
    outer[i] = 0x5c ^ byte
  }
  const hashOf = (pad: Buffer, bytes: Uint8Array) => hash('sha256', Buffer.concat([pad, bytes]), 'buffer')
  return (message) => hashOf(outer, hashOf(inner, message))
}
