import type { BlobStore } from '@berth/blobs'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { blobName } from '../archives/member-names.ts'
import { type EnsureDeps, ensureStored, type StoredBytes, type WantedBlob } from '../transfers/ensure-stored.ts'
import { blobLines, manifestLines } from './contents.ts'
import { holderOf, type Selected } from './export-row.ts'
import { exportFault, named } from './fault.ts'

export type GatherDeps = EnsureDeps & { blobs: BlobStore }

export type Gathered = { carried: number; fetched: number; fetchedBytes: number }

/** Leases last as long as a download is kept, and an hour more: whoever began to read at the last moment comes to an end. */
export const leaseSeconds = 25 * 3_600

/**
 * Leases all that an export carries, and notes it as its members. Layers that are at a remote only, or were lost, are fetched first.
 * Throws when some of them cannot be had, and names them.
 */
export async function gather(
  deps: GatherDeps,
  exportId: string,
  repositories: readonly Selected[],
  { signal, seen }: { signal: AbortSignal; seen: Gathered },
): Promise<void> {
  const missing: string[] = []
  for (const repository of repositories)
    for await (const page of carriedPages(deps.db, repository)) {
      signal.throwIfAborted()
      missing.push(...(await gatherPage(deps, { exportId, repositoryId: repository.id }, page, { signal, seen })))
    }
  if (missing.length === 0) return
  throw exportFault(
    'content_missing',
    `These bytes are not here, and no remote gives them: ${named(missing)}.`,
    'POST /store/repair says what is lost; push or sync it again, or export without the repositories that have it.',
  )
}

async function* carriedPages(db: Database, repository: Selected): AsyncGenerator<WantedBlob[]> {
  for await (const page of manifestLines(db, repository))
    yield page
      .filter(({ held }) => !held)
      .map(({ manifest, size }) => ({ digest: manifest, sizeBytes: size, isManifest: true }))
  for await (const page of blobLines(db, repository))
    yield page
      .filter(({ held, foreign }) => !held && !foreign)
      .map(({ blob, size }) => ({ digest: blob, sizeBytes: size, isManifest: false }))
}

/** Answers what cannot be had. */
async function gatherPage(
  deps: GatherDeps,
  { exportId, repositoryId }: { exportId: string; repositoryId: string },
  page: readonly WantedBlob[],
  { signal, seen }: { signal: AbortSignal; seen: Gathered },
): Promise<Digest[]> {
  const owner = { holder: holderOf(exportId), repositoryId, ttlSeconds: leaseSeconds }
  const ensured = await ensureStored(deps, owner, page, signal)
  seen.fetched += ensured.fetched
  seen.fetchedBytes += ensured.fetchedBytes
  seen.carried += await noteMembers(deps.db, exportId, ensured.stored)
  return ensured.missing
}

async function noteMembers(db: Database, exportId: string, stored: readonly StoredBytes[]): Promise<number> {
  const added = await db.query(
    `insert into export_member (export_id, name, digest, generation, size_bytes)
     select $1, member.*
     from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) as member
     on conflict do nothing
     returning name`,
    [
      exportId,
      stored.map(({ digest }) => blobName(digest)),
      stored.map(({ digest }) => digest),
      stored.map(({ generation }) => generation),
      stored.map(({ sizeBytes }) => sizeBytes),
    ],
  )
  return added.length
}
