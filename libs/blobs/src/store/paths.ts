import { algorithmOf, type Digest, digestAlgorithms, hexOf, parseDigest } from '@berth/oci'
import { BlobStoreError } from './errors.ts'
import type { BlobKey } from './store.ts'

/*
 * The one file that knows where things lie, in a directory as in a bucket:
 *   blobs/sha256/ab/<hex>.<generation>   what can be read
 *   staging/part.<id>                    parts of upload sessions
 *   staging/write.<id>                   (directory) a write under way
 *   staging/journal.<home>.<process>.<id> (directory) small blobs whose own files are not flushed yet
 *   transfer/<path>                      what people carry away; no blobs, and nobody's to collect
 *   berth-store.json, berth-cleaner.json  whose store it is, and who deletes in it
 *   store.json                           (directory) the mark that this is a blob store and that it is mounted
 */
export const blobsFolder = 'blobs'
export const stagingFolder = 'staging'
const transferFolder = 'transfer'
export const markName = 'store.json'

const transferGrammar = /^[A-Za-z0-9_][A-Za-z0-9._@+ -]{0,199}$/
const transferLimit = 900
const partIdGrammar = /^[A-Za-z0-9_-]{1,128}$/
const blobPathGrammar = /^blobs\/(sha\d+)\/([0-9a-f]{2})\/([0-9a-f]+)\.(\d{1,15})$/
const partNameGrammar = /^part\.([A-Za-z0-9_-]{1,128})$/
const journalNameGrammar = /^journal\.([0-9a-z]+\.[a-z]+)\.[0-9a-f-]{36}(\.unflushed)?$/
/** At the end of the name of a log whose files could not be flushed. */
export const unflushedMark = '.unflushed'

/** The folder, from the root, that holds a blob. */
function blobFolder(digest: Digest): string {
  const checked = checkedDigest(digest)
  return `${blobsFolder}/${algorithmOf(checked)}/${hexOf(checked).slice(0, 2)}`
}

/** The place of a blob, from the root. */
export function blobPath({ digest, generation }: BlobKey): string {
  if (!Number.isSafeInteger(generation) || generation < 0) {
    throw new BlobStoreError('conflict', `not a generation: ${generation}`)
  }
  return `${blobFolder(digest)}/${hexOf(digest)}.${generation}`
}

/** The key whose blob lies at a path, or `undefined` for a path that is not ours. */
export function keyOfBlobPath(path: string): BlobKey | undefined {
  const [, algorithm, shard, hex = '', generation] = blobPathGrammar.exec(path) ?? []
  const digest = parseDigest(`${algorithm}:${hex}`)
  if (!digest || shard !== hex.slice(0, 2)) return undefined
  const key = { digest, generation: Number(generation) }
  return blobPath(key) === path ? key : undefined
}

/** The folders under which every blob folder lies, one per algorithm. */
export function algorithmFolders(): string[] {
  return digestAlgorithms.map((algorithm) => `${blobsFolder}/${algorithm}`)
}

/** The place of a staged part, from the root. */
export function partPath(id: string): string {
  if (!partIdGrammar.test(id))
    throw new BlobStoreError('conflict', `not a part id: ${JSON.stringify(id.slice(0, 200))}`)
  return `${stagingFolder}/part.${id}`
}

/** The place of a file that people carry away, from the root. */
export function transferPath(path: string): string {
  // S3 takes keys of 1,024 bytes.
  if (path.length > transferLimit || !path.split('/').every((name) => transferGrammar.test(name)))
    throw new BlobStoreError('conflict', `not a path for transfers: ${JSON.stringify(path.slice(0, 200))}`)
  return `${transferFolder}/${path}`
}

/** The place of a write under way, from the root; the id is made by the driver. */
export function writePath(id: string): string {
  return `${stagingFolder}/write.${id}`
}

/** The place of a log of the journal, from the root. The owner is `<home>.<process>`; the id is made by the driver. */
export function journalPath(owner: string, id: string): string {
  return `${stagingFolder}/journal.${owner}.${id}`
}

/** Whether a staged file is of a journal, of whatever form: it is the only copy of what was acknowledged. */
export function isJournalName(name: string): boolean {
  return name.startsWith('journal.')
}

/** Whose log a staged file is, or `undefined` when it is none that we can read. */
export function journalOwnerOfName(name: string): string | undefined {
  return journalNameGrammar.exec(name)?.[1]
}

/** The part id in the name of a staged file, or `undefined` when it is no part. */
export function partIdOfName(name: string): string | undefined {
  return partNameGrammar.exec(name)?.[1]
}

// A branded digest may still come from a cast somewhere; here is where it would turn into a path.
function checkedDigest(digest: Digest): Digest {
  const checked = parseDigest(digest)
  if (!checked) throw new BlobStoreError('conflict', `not a digest: ${JSON.stringify(String(digest).slice(0, 200))}`)
  return checked
}
