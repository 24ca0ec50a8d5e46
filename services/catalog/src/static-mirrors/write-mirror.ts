import { createHash } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import { algorithmOf, type Digest, hexOf } from '@berth/oci'
import { type Database, Problem } from '@berth/service'
import { type EnsureDeps, ensureStored, type StoredBytes } from '../transfers/ensure-stored.ts'
import { blobsOf, manifestsOf, type Selected, stillBlobs } from './contents.ts'
import { blobFile, catalogName, noReferrersName } from './file-names.ts'
import { type MirrorCounts, type MirrorFolder, openMirrorFolder } from './mirror-folder.ts'
import { prune } from './prune.ts'
import { serverFiles } from './server-files.ts'
import { noReferrers, type ReadStored, writeManifests, writeTags } from './write-repository.ts'

export type MirrorDeps = EnsureDeps & { blobs: BlobStore }

export type MirrorResult = {
  repositories: number
  tags: number
  manifests: number
  /** How many of its blobs the mirror already had, and how many were fetched from remotes for it. */
  fetched: number
} & MirrorCounts

type Wanted = {
  /** Where it is written, below the directory for transfers. */
  root: string
  selected: readonly Selected[]
  holder: string
  dryRun: boolean
}

const copiesAtOnce = 4
const mostNamed = 20
const leaseSeconds = 3_600

/**
 * Writes repositories as files that a web server serves as `/v2`, or brings such a folder up to date: first blobs, then manifests, then
 * tags and lists, and at the end goes what is not selected. So whoever pulls meanwhile finds what it was told of.
 */
export async function writeMirror(
  deps: MirrorDeps,
  { root, selected, holder, dryRun }: Wanted,
  { signal, onProgress }: { signal: AbortSignal; onProgress: (result: MirrorResult) => void },
): Promise<MirrorResult> {
  const { db } = deps
  const folder = await openMirrorFolder(root, { dryRun })
  const result = { repositories: selected.length, tags: 0, manifests: 0, fetched: 0 }
  const seen = () => ({ ...result, ...folder.counts })
  const tell = () => onProgress(seen())
  try {
    const missing: Digest[] = []
    for (const [at, repository] of selected.entries())
      for await (const lacking of bring(deps, folder, {
        repository,
        before: selected.slice(0, at),
        holder,
        dryRun,
        signal,
      })) {
        missing.push(...lacking.missing)
        result.fetched += lacking.fetched
        tell()
      }
    if (missing.length > 0) throw contentMissing(missing)
    for (const repository of selected) {
      result.manifests += await writeManifests(db, folder, repository, { read: reader(deps, signal), signal })
      tell()
    }
    for (const repository of selected) {
      result.tags += await writeTags(db, folder, repository, signal)
      tell()
    }
    await folder.put(catalogName, [JSON.stringify({ repositories: selected.map(({ name }) => name).sort() })])
    await folder.put(noReferrersName, [noReferrers])
    for (const [name, text] of serverFiles) await folder.put(name, [text])
    await prune(db, folder, selected, signal)
    return seen()
  } finally {
    await folder.close()
  }
}

type Brought = { missing: Digest[]; fetched: number }

/** Copies the blobs of a repository that the mirror lacks, after they were fetched where they are not here; leases its manifests. */
async function* bring(
  deps: MirrorDeps,
  folder: MirrorFolder,
  given: { repository: Selected; before: Selected[]; holder: string; dryRun: boolean; signal: AbortSignal },
): AsyncGenerator<Brought> {
  const { repository, before, holder, dryRun, signal } = given
  const owner = { holder, repositoryId: repository.id, ttlSeconds: leaseSeconds }
  for await (const page of manifestsOf(deps.db, repository)) {
    signal.throwIfAborted()
    const wanted = page.flatMap(({ digest, envelope, sizeBytes }) => [
      { digest, sizeBytes, isManifest: true },
      ...(envelope === null ? [] : [{ digest: envelope, sizeBytes: 0, isManifest: false }]),
    ])
    if (!dryRun) yield await ensureStored(deps, owner, wanted, signal)
  }
  for await (const page of blobsOf(deps.db, repository)) {
    signal.throwIfAborted()
    const lacking = []
    for (const blob of page)
      if (!(await folder.keeps(blobFile(blob.digest), blob.sizeBytes))) lacking.push({ ...blob, isManifest: false })
    if (dryRun) {
      // What repositories before this one have too would be there by now.
      const planned = await stillBlobs(
        deps.db,
        before,
        lacking.map(({ digest }) => digest),
      )
      for (const { digest, sizeBytes } of lacking)
        if (!planned.has(digest)) await folder.putOnce(blobFile(digest), sizeBytes, () => [])
      continue
    }
    if (lacking.length === 0) continue
    const ensured = await ensureStored(deps, owner, lacking, signal)
    await copyAll(deps, folder, ensured.stored, signal)
    yield ensured
  }
}

async function copyAll(
  { blobs }: MirrorDeps,
  folder: MirrorFolder,
  stored: readonly StoredBytes[],
  signal: AbortSignal,
): Promise<void> {
  const queue = [...stored]
  const work = async () => {
    for (let one = queue.shift(); one; one = queue.shift()) {
      const blob = one
      await folder.putOnce(blobFile(blob.digest), blob.sizeBytes, () => checked(blobs, blob, signal))
    }
  }
  await Promise.all(Array.from({ length: copiesAtOnce }, work))
}

function reader({ db, blobs }: MirrorDeps, signal: AbortSignal): ReadStored {
  return async function* (digest) {
    yield* checked(blobs, await storedAt(db, digest), signal)
  }
}

async function storedAt(db: Database, digest: Digest): Promise<StoredBytes> {
  const [row] = await db.query<StoredBytes>(
    `select digest, generation, size_bytes as "sizeBytes" from blob where digest = $1 and state = 'present'`,
    [digest],
  )
  if (!row) throw contentMissing([digest])
  return row
}

/** Stored bytes, compared with their digest while they are read. */
async function* checked(
  blobs: BlobStore,
  { digest, generation }: StoredBytes,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const open = await blobs.open({ digest, generation })
  if (!open) throw contentMissing([digest])
  try {
    const hash = createHash(algorithmOf(digest))
    for await (const chunk of open.stream({ signal }) as AsyncIterable<Buffer>) {
      hash.update(chunk)
      yield chunk
    }
    if (hash.digest('hex') !== hexOf(digest)) throw contentMissing([digest], 'rotten')
  } finally {
    await open.close()
  }
}

function contentMissing(digests: readonly Digest[], how = 'missing'): Problem {
  const more = digests.length > mostNamed ? ` and ${digests.length - mostNamed} more` : ''
  return new Problem(
    409,
    how === 'rotten' ? 'content_damaged' : 'content_missing',
    `These bytes are ${how} in the store, and no remote gives them: ${digests.slice(0, mostNamed).join(', ')}${more}.`,
    {
      hint: 'POST /store/repair says what is lost; push or sync it again, or leave out the repositories that have it.',
    },
  )
}
