import type { Digest } from '@berth/oci'
import { payloadNames } from './claims.ts'

const simpleTypes = ['atomic container signature']
// What is signed is some hundred bytes of JSON; a message of a megabyte could otherwise unpack to a gigabyte.
const config = { maxDecompressedMessageSize: 1 << 20 }

/**
 * Whether a key made this signed message, and it is about this manifest (containers/image, atomic-signature.md). A key that is
 * expired or revoked does not count.
 */
export async function isSignedByGpg(armoredKey: string, message: Buffer, digest: Digest): Promise<boolean> {
  // Loaded when first needed: it is large, and most installations never do.
  const { readKeys, readMessage, verify } = await import('openpgp')
  const verificationKeys = await readKeys({ armoredKeys: armoredKey })
  try {
    const { data, signatures } = await verify({
      message: await readMessage({ binaryMessage: new Uint8Array(message), config }),
      verificationKeys,
      config,
      format: 'binary',
    })
    const outcomes = await Promise.allSettled(signatures.map((one) => one.verified))
    const isRight = outcomes.some((outcome) => outcome.status === 'fulfilled')
    return isRight && payloadNames(data, digest, simpleTypes)
  } catch {
    // What is no signed message at all is no signature either.
    return false
  }
}
