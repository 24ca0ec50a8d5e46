import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { asDigest } from '@berth/oci'
import { beforeAll, expect, test } from '@jest/globals'
import { createMessage, generateKey, type PrivateKey, sign } from 'openpgp'
import { isSignedByGpg } from './gpg.ts'

const digest = asDigest(`sha256:${randomBytes(32).toString('hex')}`)
let publicKey = ''
let signingKeys: PrivateKey
beforeAll(async () => {
  const userIDs = [{ name: 'Release', email: 'release@example.org' }]
  const { privateKey } = await generateKey({ userIDs, format: 'object' })
  signingKeys = privateKey
  publicKey = privateKey.toPublic().armor()
})

/** A right signature whose payload is padded to this many bytes, as GnuPG sends it: compressed. */
async function signedOf(paddedBytes: number): Promise<Buffer> {
  const payload = JSON.stringify({
    critical: { type: 'atomic container signature', image: { 'docker-manifest-digest': digest } },
  }).padEnd(paddedBytes)
  const signed = await sign({ message: await createMessage({ text: payload }), signingKeys, format: 'binary' })
  const compressed = deflateRawSync(signed as Uint8Array)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(compressed.length + 1)
  // A packet of compressed data (RFC 9580 §5.6) in the new format, with ZIP.
  return Buffer.concat([Buffer.from([0xc8, 0xff]), length, Buffer.from([1]), compressed])
}

test('a compressed signature counts, as GnuPG makes it', async () => {
  expect(await isSignedByGpg(publicKey, await signedOf(0), digest)).toBe(true)
  expect(await isSignedByGpg(publicKey, await signedOf(0), asDigest(`sha256:${'0'.repeat(64)}`))).toBe(false)
})

test('one that grows far beyond any signature when it is unpacked is none, so that it fills no memory', async () => {
  const message = await signedOf(8 << 20)
  expect(message.length).toBeLessThan(16 << 10)
  expect(await isSignedByGpg(publicKey, message, digest)).toBe(false)
})
