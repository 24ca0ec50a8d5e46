import { type Digest, OciError, parseManifest } from '@berth/oci'
import { type RegistryClient, UpstreamError } from '@berth/registry-client'
import { companionTagOf } from '@berth/signatures'

/** What the tag of the fallback schema lists for a manifest (distribution-spec, "Referrers Tag Schema"). */
export async function readReferrersTag(
  client: RegistryClient,
  repository: string,
  subject: Digest,
  signal: AbortSignal,
): Promise<Digest[]> {
  try {
    // By HEAD first, which costs less where there is none, as is the rule.
    const index = await client.resolve(repository, companionTagOf(subject), signal)
    if (!index) return []
    const { bytes } = await client.manifest(repository, index, signal)
    const { references } = parseManifest(bytes)
    return [...new Set(references.flatMap(({ role, digest }) => (role === 'manifest' ? [digest] : [])))]
  } catch (error) {
    // Gone meanwhile. What cannot be read as a manifest lists nothing either.
    if (error instanceof OciError || (error instanceof UpstreamError && error.code === 'not_found')) return []
    throw error
  }
}
