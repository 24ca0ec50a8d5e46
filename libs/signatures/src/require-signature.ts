import type { RequiredSignatures } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { Problem } from '@berth/service'
import { isSignedBy } from './cosign.ts'
import { cosignSignatures, type SignatureSource } from './find-signatures.ts'
import { isSignedByGpg } from './gpg.ts'

/** Keys of which one has to have signed, and what asks for that. */
export type Requirement = Pick<RequiredSignatures, 'keys'> & { of: 'remote' | 'repository' }

/**
 * Makes sure that one of the keys that are required has signed a manifest. Throws 403 `signature_missing` or `signature_untrusted`, with
 * what was looked for. A signature of an index stands for all that it names.
 */
export async function requireSignature(
  source: SignatureSource,
  requirement: Requirement,
  digest: Digest,
): Promise<void> {
  const { keys } = requirement
  const cosign = keys.filter((key) => key.type === 'cosign')
  const gpg = keys.filter((key) => key.type === 'gpg')
  let seen = 0
  if (cosign.length > 0)
    for await (const signed of cosignSignatures(source, digest)) {
      seen++
      if (cosign.some((key) => isSignedBy(key.publicKey, signed, digest))) return
    }
  if (gpg.length > 0)
    for await (const message of source.messages(digest)) {
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
