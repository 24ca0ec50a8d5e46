import type { Digest } from '@berth/oci'

/** What is said about a manifest by a signature that is right; `undefined` when it says nothing of that one. */
type SimpleSigning = { critical?: { type?: unknown; image?: { 'docker-manifest-digest'?: unknown } } }
type Statement = { predicateType?: unknown; subject?: { digest?: Record<string, unknown> }[] }

/** What cosign says a signature is for, in its bundles; attestations by the same key say something else. */
const signPredicate = 'https://sigstore.dev/cosign/sign/v1'

/** Whether a simple signing payload (containers/image, atomic-signature.md "JSON data format") is about a manifest. */
export function payloadNames(payload: Uint8Array, digest: Digest, types: readonly string[]): boolean {
  const { critical } = parse<SimpleSigning>(payload)
  return types.includes(String(critical?.type)) && critical?.image?.['docker-manifest-digest'] === digest
}

/** Whether an in-toto statement says that a manifest is signed. */
export function statementNames(payload: Uint8Array, digest: Digest): boolean {
  const { predicateType, subject } = parse<Statement>(payload)
  const [algorithm = '', hex] = digest.split(':')
  return (
    predicateType === signPredicate && Array.isArray(subject) && subject.some((one) => one.digest?.[algorithm] === hex)
  )
}

function parse<T extends object>(bytes: Uint8Array): Partial<T> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    // What cannot be read says nothing; the caller tells what was wanted.
    return {}
  }
}
