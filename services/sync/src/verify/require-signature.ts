import type { Digest } from '@berth/oci'
import { Problem } from '@berth/service'
import { isSignedBy } from './cosign.ts'
import { cosignSignatures, gpgSignatures } from './find-signatures.ts'
import { isSignedByGpg } from './gpg.ts'
import type { Signed } from './lookaside.ts'
import type { Requirement } from './requirements.ts'

/**
 * Makes sure that one of the keys that are required has signed a manifest. Throws 403 `signature_missing` or `signature_untrusted`, with
 * what was looked for. A signature of an index stands for all that it names.
 */
export async function requireSignature(
  upstream: Signed,
  requirement: Requirement,
  digest: Digest,
  signal: AbortSignal,
): Promise<void> {
  const { keys, sigstore } = requirement
  const cosign = keys.filter((key) => key.type === 'cosign')
  const gpg = keys.filter((key) => key.type === 'gpg')
  let seen = 0
  if (cosign.length > 0)
    for await (const signed of cosignSignatures(upstream, digest, signal)) {
      seen++
      if (cosign.some((key) => isSignedBy(key.publicKey, signed, digest))) return
    }
  if (gpg.length > 0)
    for await (const message of gpgSignatures({ ...upstream, sigstore }, digest, signal)) {
      seen++
      for (const key of gpg) if (await isSignedByGpg(key.publicKey, message, digest)) return
    }
  throw refusal(digest, requirement, seen)
}

function refusal(digest: Digest, { keys, of }: Requirement, seen: number): Problem {
  const names = keys.map((key) => `"${key.name}" (${key.type})`).join(', ')
  if (seen === 0)
    return new Problem(403, 'signature_missing', `${digest} has no signature, and the ${of} requires one of ${names}`)
  const found = seen === 1 ? 'the signature' : `none of the ${seen} signatures`
  const verb = seen === 1 ? 'is not by' : 'is by'
  return new Problem(
    403,
    'signature_untrusted',
    `${found} of ${digest} ${verb} ${names}, as the ${of} requires, or is about something else`,
  )
}
