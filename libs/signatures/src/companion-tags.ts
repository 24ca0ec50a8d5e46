import { algorithmOf, type Digest, hexOf, parseDigest } from '@berth/oci'

/** `sha256-<hex>` and what begins so: a signature, an SBOM, or the referrers of that digest. */
const companion = /^(sha(?:256|512)-[0-9a-f]{64})(?![0-9a-f])/
const hexInTags = 64

/**
 * The tag of the referrers of what a companion tag belongs to, with which it begins (cosign; OCI distribution-spec, "Referrers Tag
 * Schema"); `undefined` for a tag that is none. Such tags are no choice of filters.
 */
export function companionStem(tag: string): string | undefined {
  return companion.exec(tag)?.[1]
}

/** What a companion tag belongs to, where it says so: of a SHA-512 it has but the first half. */
export function companionSubject(tag: string): Digest | undefined {
  return parseDigest(companionStem(tag)?.replace('-', ':') ?? '')
}

/** The tag that holds the referrers of a digest, and with which those of its other companions begin. */
export function companionTagOf(digest: Digest): string {
  return `${algorithmOf(digest)}-${hexOf(digest).slice(0, hexInTags)}`
}
