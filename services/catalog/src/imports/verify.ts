import { createHash } from 'node:crypto'
import type { Digest } from '@berth/oci'
import { verifyBlob } from '../archives/archive.ts'
import { BadArchive } from '../archives/bad-archive.ts'
import type { Contents } from '../archives/brought.ts'
import { requireNamed } from '../archives/contents.ts'
import type { PartSums } from './open-archive.ts'
import { noteVerified, type StoreDeps, type Tally, verifiedOf } from './store-blobs.ts'

type Options = { tally: Tally; signal: AbortSignal }

const digestsAtOnce = 100

/** Compares the parts of an archive with the file of checksums beside them. */
export async function verifySums(sums: PartSums, { signal }: Pick<Options, 'signal'>): Promise<void> {
  for (const { source, name, sha256 } of sums) {
    const hash = createHash('sha256')
    for await (const chunk of source.stream(0, source.sizeBytes, signal)) hash.update(chunk)
    if (hash.digest('hex') !== sha256) throw new BadArchive(name, 'is not what SHA256SUMS says of it')
  }
}

/** Reads all blobs of an archive and compares them with their digests. What was read before is not read again. */
export async function verifyContents(store: StoreDeps, contents: Contents, options: Options): Promise<void> {
  const { db, importId } = store
  let batch: Digest[] = []
  const flush = async () => {
    const digests = [...new Set(batch)]
    batch = []
    const verified = await verifiedOf(db, importId, digests)
    for (const digest of digests) await verifyOne(store, contents, digest, verified, options)
  }
  for (const brought of contents.repositories)
    for await (const line of brought.lines(options.signal)) {
      const digest = 'manifest' in line ? line.manifest : 'blob' in line ? line.blob : undefined
      if (!digest || ('held' in line && line.held) || ('foreign' in line && line.foreign)) continue
      if (batch.push(digest) >= digestsAtOnce) await flush()
    }
  await flush()
  requireNamed(contents.archive)
}

async function verifyOne(
  store: StoreDeps,
  { archive }: Contents,
  digest: Digest,
  verified: ReadonlySet<Digest>,
  { tally, signal }: Options,
): Promise<void> {
  if (verified.has(digest)) {
    tally.known++
    return
  }
  await verifyBlob(archive, digest, {
    signal,
    onBytes: (length) => {
      tally.verifiedBytes += length
    },
  })
  tally.verified++
  await noteVerified(store, [{ digest, blob: undefined }])
}
