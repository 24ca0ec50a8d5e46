import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { Digest } from '@berth/oci'
import { payloadNames, statementNames } from './claims.ts'

/** What cosign left somewhere: a payload with its signature, or a bundle with an envelope. */
export type CosignSignature =
  | { kind: 'simple'; payload: Buffer; signature: Buffer }
  | { kind: 'envelope'; payloadType: string; payload: Buffer; signatures: Buffer[] }

const simpleTypes = ['cosign container image signature']

/** Whether a key made this signature, and it is about this manifest. */
export function isSignedBy(publicKey: string, signed: CosignSignature, digest: Digest): boolean {
  const key = createPublicKey(publicKey)
  if (signed.kind === 'simple')
    return isRight(key, signed.payload, signed.signature) && payloadNames(signed.payload, digest, simpleTypes)
  const encoded = preAuthenticationEncoding(signed.payloadType, signed.payload)
  return signed.signatures.some((one) => isRight(key, encoded, one)) && statementNames(signed.payload, digest)
}

function isRight(key: KeyObject, message: Buffer, signature: Buffer): boolean {
  // Ed25519 hashes by itself; of the others cosign signs a SHA-256.
  return verify(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', message, key, signature)
}

/** What an envelope's signature is of (DSSE protocol.md, "Signature Definition"). */
function preAuthenticationEncoding(type: string, payload: Buffer): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `
  return Buffer.concat([Buffer.from(head), payload])
}

type Bundle = {
  dsseEnvelope?: { payload?: unknown; payloadType?: unknown; signatures?: { sig?: unknown }[] }
}

/** Reads a sigstore bundle; `undefined` when there is no envelope in it. */
export function readBundle(bytes: Buffer): CosignSignature | undefined {
  try {
    const { dsseEnvelope } = JSON.parse(bytes.toString('utf8')) as Bundle
    const { payload, payloadType, signatures } = dsseEnvelope ?? {}
    if (typeof payload !== 'string' || typeof payloadType !== 'string' || !Array.isArray(signatures)) return undefined
    return {
      kind: 'envelope',
      payloadType,
      payload: Buffer.from(payload, 'base64'),
      signatures: signatures.map(({ sig }) => Buffer.from(typeof sig === 'string' ? sig : '', 'base64')),
    }
  } catch {
    // What cannot be read is no signature; that there is none is what the caller says.
    return undefined
  }
}
