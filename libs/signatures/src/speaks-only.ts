import type { ManifestRecord } from '@berth/commands'
import { isSchema1Type } from '@berth/oci'

const imageLayer = /^application\/vnd\.(?:oci\.image\.layer\.|docker\.(?:container\.)?image\.rootfs\.)/i

/**
 * Whether a manifest can only say something about another one. What does comes unsigned where signatures are required, so it may
 * not be an index, which would vouch for what it names, nor something that a client would run.
 */
export function speaksOnly({ isIndex, mediaType, references }: ManifestRecord): boolean {
  const hasImageLayer = references.some((one) => one.role === 'layer' && imageLayer.test(one.mediaType))
  return !isIndex && !isSchema1Type(mediaType) && !hasImageLayer
}
