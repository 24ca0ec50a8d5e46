import type { ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'

/** What upstream says each manifest refers to. */
export type Said = Map<Digest, Set<Digest>>

/** Whether a manifest itself names what it is listed for: the list is no way for other things to come in. */
export function isReferrer({ digest, subject }: ManifestRecord, said: Said): boolean {
  return !!subject && said.get(digest)?.has(subject) === true
}
