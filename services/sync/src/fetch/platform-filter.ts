import type { Platform, Reference } from '@berth/oci'
import { isIndexType } from '@berth/oci'

/** What of an index a sync follows and what it leaves out; `offers` are the platforms that the index has. */
export type ChosenChildren = { kept: Reference[]; omitted: Reference[]; offers: string[] }

// What an image is that says no variant (containerd's platforms package normalizes alike).
const usualVariants: Record<string, string> = { amd64: 'v1', arm: 'v7', arm64: 'v8' }

function fits(wanted: string, { os, architecture, variant }: Platform): boolean {
  const [wantedOs, wantedArchitecture, wantedVariant] = wanted.split('/')
  if (wantedOs !== os || wantedArchitecture !== architecture) return false
  return wantedVariant === undefined || wantedVariant === (variant || usualVariants[architecture])
}

/**
 * Chooses the children of an index by `platforms`; all, where there are none. What says no platform is kept, for it may be wanted, and an index in an index is looked into in turn. An attestation goes with the image that it is about.
 */
export function chooseChildren(references: readonly Reference[], platforms: readonly string[]): ChosenChildren {
  if (platforms.length === 0) return { kept: [...references], omitted: [], offers: [] }
  const isWanted = ({ role, platform, about }: Reference) =>
    role !== 'manifest' || (about === undefined && (!platform || platforms.some((wanted) => fits(wanted, platform))))
  const wanted = new Set(references.filter(isWanted).map(({ digest }) => digest))
  const isKept = ({ role, digest, about }: Reference) =>
    role !== 'manifest' || wanted.has(digest) || (about !== undefined && wanted.has(about))
  const offers = references.flatMap(({ platform, about }) => (platform && !about ? [nameOf(platform)] : []))
  return {
    kept: references.filter(isKept),
    omitted: references.filter((reference) => !isKept(reference)),
    offers: [...new Set(offers)],
  }
}

/** Whether a child of an index may be an index itself. */
export function isNested({ role, mediaType }: Reference): boolean {
  return role === 'manifest' && isIndexType(mediaType)
}

function nameOf({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant ? [variant] : [])].join('/')
}
