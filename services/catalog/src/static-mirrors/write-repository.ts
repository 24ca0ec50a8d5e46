import { type Digest, mediaTypes } from '@berth/oci'
import type { Sql } from '@berth/service'
import { type MirroredReferrer, manifestsOf, referrersOf, type Selected, tagsOf } from './contents.ts'
import { manifestFile, referrersFile, tagFile, tagListFile } from './file-names.ts'
import type { MirrorFolder } from './mirror-folder.ts'

/** Reads a blob or manifest of the store, and throws at its end when it is not what its digest says. */
export type ReadStored = (digest: Digest) => AsyncIterable<Buffer>

/** Writes manifests under their digests, and who refers to what: nothing of it is found before a tag or a list names it. */
export async function writeManifests(
  sql: Sql,
  folder: MirrorFolder,
  of: Selected,
  { read, signal }: { read: ReadStored; signal: AbortSignal },
): Promise<number> {
  let count = 0
  for await (const page of manifestsOf(sql, of))
    for (const { digest, mediaType, envelope, sizeBytes } of page) {
      signal.throwIfAborted()
      const file = manifestFile(of.name, digest, mediaType)
      // Signatures of Docker schema 1 are served with the manifest, and are no part of its digest.
      if (envelope === null) await folder.putOnce(file, sizeBytes, () => read(digest))
      else await folder.put(file, read(envelope))
      count++
    }
  for await (const { subject, descriptors } of bySubject(sql, of)) {
    signal.throwIfAborted()
    await folder.put(referrersFile(of.name, subject), descriptors)
  }
  return count
}

/** Writes tags as further names of their manifests, and the list of them. */
export async function writeTags(sql: Sql, folder: MirrorFolder, of: Selected, signal: AbortSignal): Promise<number> {
  let count = 0
  for await (const page of tagsOf(sql, of))
    for (const { name, digest, mediaType } of page) {
      signal.throwIfAborted()
      await folder.link(tagFile(of.name, name, mediaType), manifestFile(of.name, digest, mediaType))
      count++
    }
  await folder.put(tagListFile(of.name), tagList(sql, of))
  return count
}

async function* tagList(sql: Sql, of: Selected): AsyncGenerator<string> {
  yield `{"name":${JSON.stringify(of.name)},"tags":[`
  let between = ''
  for await (const page of tagsOf(sql, of)) {
    yield between + page.map(({ name }) => JSON.stringify(name)).join(',')
    between = ','
  }
  yield ']}'
}

/** Each subject with its referrers as an index (distribution-spec, "Listing Referrers"). */
async function* bySubject(sql: Sql, of: Selected): AsyncGenerator<{ subject: Digest; descriptors: Iterable<string> }> {
  let open: { subject: Digest; referrers: string[] } | undefined
  for await (const page of referrersOf(sql, of))
    for (const referrer of page) {
      if (open && open.subject !== referrer.subject) yield indexOf(open)
      if (open?.subject !== referrer.subject) open = { subject: referrer.subject, referrers: [] }
      open.referrers.push(JSON.stringify(toDescriptor(referrer)))
    }
  if (open) yield indexOf(open)
}

function indexOf({ subject, referrers }: { subject: Digest; referrers: string[] }) {
  const head = `{"schemaVersion":2,"mediaType":${JSON.stringify(mediaTypes.ociIndex)},"manifests":[`
  return { subject, descriptors: [head, referrers.join(','), ']}'] }
}

/** An index without members: what is answered of what nobody refers to. */
export const noReferrers = `{"schemaVersion":2,"mediaType":${JSON.stringify(mediaTypes.ociIndex)},"manifests":[]}`

function toDescriptor({ digest, mediaType, sizeBytes, artifactType, annotations }: MirroredReferrer) {
  return {
    mediaType,
    digest,
    size: sizeBytes,
    ...(artifactType === null ? {} : { artifactType }),
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
  }
}
