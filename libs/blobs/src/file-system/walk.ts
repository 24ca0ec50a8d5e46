import { opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { algorithmFolders, isJournalName, keyOfBlobPath, partIdOfName, stagingFolder } from '../store/paths.ts'
import type { BlobKey, BlobStat, StagedLeftover } from '../store/store.ts'
import { removeFile, statPath } from './descriptors.ts'
import { errnoOf } from './failure.ts'

/** Every blob under a root, in no order. Files that are no blobs of ours are passed over. */
export async function* walkBlobs(root: string, signal?: AbortSignal): AsyncGenerator<BlobKey & BlobStat> {
  for (const algorithmFolder of algorithmFolders()) {
    for await (const shard of namesIn(join(root, algorithmFolder))) {
      for await (const name of namesIn(join(root, algorithmFolder, shard))) {
        signal?.throwIfAborted()
        const path = `${algorithmFolder}/${shard}/${name}`
        const key = keyOfBlobPath(path)
        const stats = key && (await statPath(join(root, path)))
        if (key && stats?.isFile()) yield { ...key, sizeBytes: stats.size, modifiedAt: stats.mtime }
      }
    }
  }
}

/** What lies in staging and was not written to since `olderThan`. A journal is no leftover, however old: it is replayed. */
export async function* walkLeftovers(
  root: string,
  olderThan: Date,
  signal?: AbortSignal,
): AsyncGenerator<StagedLeftover> {
  for await (const name of namesIn(join(root, stagingFolder))) {
    signal?.throwIfAborted()
    if (isJournalName(name)) continue
    const path = join(root, stagingFolder, name)
    const stats = await statPath(path)
    if (!stats?.isFile() || stats.mtime >= olderThan) continue
    yield { partId: partIdOfName(name), name, modifiedAt: stats.mtime, discard: () => removeFile(path) }
  }
}

async function* namesIn(folder: string): AsyncGenerator<string> {
  let entries: Awaited<ReturnType<typeof opendir>>
  try {
    entries = await opendir(folder, { bufferSize: 256 })
  } catch (error) {
    // Not made yet, because nothing was stored there; a file in a folder's place is skipped as no blob of ours.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return
    throw error
  }
  for await (const entry of entries) yield entry.name
}
