/** How many of each type; the form in which versions and events tell them. */
export type ContentCounts = { tags: number; manifests: number; blobs: number; signatures: number }

export const noContent: ContentCounts = { tags: 0, manifests: 0, blobs: 0, signatures: 0 }

export function addCounts(base: ContentCounts, added: ContentCounts, removed: ContentCounts): ContentCounts {
  return {
    tags: base.tags + added.tags - removed.tags,
    manifests: base.manifests + added.manifests - removed.manifests,
    blobs: base.blobs + added.blobs - removed.blobs,
    signatures: base.signatures + added.signatures - removed.signatures,
  }
}
