import { createHash } from 'node:crypto'
import type { ManifestSignature } from '@berth/commands'
import { type Digest, isRepositoryName } from '@berth/oci'
import type { RegistryClient } from '@berth/registry-client'

/** A registry's repository, and the server beside it that has its signatures, if one is named. */
export type Signed = { client: RegistryClient; repository: string; sigstore?: string | undefined }

const mostSignatures = 50
const limitBytes = 16 << 10
const nameDigits = 32

/**
 * GPG signatures of a manifest that lie on a server of their own, numbered from 1 without a gap (containers/image,
 * signature-protocols.md).
 */
export async function* lookasideSignatures(
  { client, repository, sigstore }: Signed,
  digest: Digest,
  signal: AbortSignal,
): AsyncIterable<Buffer> {
  if (sigstore === undefined || !isRepositoryName(repository)) return
  const base = `${sigstore.replace(/\/+$/, '')}/${repository}@${digest.replace(':', '=')}`
  for (let number = 1; number <= mostSignatures; number++) {
    const message = await client.foreignFile(`${base}/signature-${number}`, limitBytes, signal)
    if (!message) return
    yield message
  }
}

/** How such a signature is kept: as one of the registry's own, under a name that its bytes give it. */
export function atomicSignature(digest: Digest, message: Buffer): ManifestSignature {
  const hash = createHash('sha256').update(message).digest('hex').slice(0, nameDigits)
  return { name: `${digest}@${hash}`, digest, content: message.toString('base64') }
}
