import type { ManifestRecord } from '@berth/commands'
import { type Digest, isSchema1Type } from '@berth/oci'

const imageLayer = /^application\/vnd\.(?:oci\.image\.layer\.|docker\.(?:container\.)?image\.rootfs\.)/i

/**
 * Whether a manifest can only say something about another one. What does comes unsigned where signatures are required, so it may
 * not be an index, which would vouch for what it names, nor something that a client would run.
 */
export function speaksOnly({ isIndex, mediaType, references }: ManifestRecord): boolean {
  const hasImageLayer = references.some((one) => one.role === 'layer' && imageLayer.test(one.mediaType))
  return !isIndex && !isSchema1Type(mediaType) && !hasImageLayer
}

/** What upstream says each manifest refers to. */
export type Said = Map<Digest, Set<Digest>>

/** Whether a manifest itself names what it is listed for: the list is no way for other things to come in. */
export function isReferrer({ digest, subject }: ManifestRecord, said: Said): boolean {
  return !!subject && said.get(digest)?.has(subject) === true
}
