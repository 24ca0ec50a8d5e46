import { algorithmOf, type Digest, hexOf, parseDigest } from '@berth/oci'

/** The members of an archive that are no blobs, in their order (docs/decisions/0056); lists stand between signature and index.json. */
export const layoutName = 'oci-layout'
export const indexName = 'berth-export.json'
export const signatureName = 'berth-export.json.sig'
export const ociIndexName = 'index.json'

/** What `oci-layout` says. */
export const layoutBytes = Buffer.from('{"imageLayoutVersion":"1.0.0"}')

const blobGrammar = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/

/** The name of the list of the nth repository of the index; the first is 1. */
export function listName(number: number): string {
  return `berth/${number}.ndjson`
}

export function blobName(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`
}

/** Which blob a member is; `undefined`: it is none. */
export function digestOfBlob(name: string): Digest | undefined {
  const [, algorithm, hex] = blobGrammar.exec(name) ?? []
  return algorithm ? parseDigest(`${algorithm}:${hex}`) : undefined
}
