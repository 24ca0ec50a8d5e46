import type { LeasedBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { NeededBlob } from './blob-line.ts'
import type { Copying } from './copy-manifests.ts'
import { inParallel } from './in-parallel.ts'

/**
 * Which of the blobs that are here upstream has to give, to show that it has them: all for which its word is not enough, or that it
 * does not say it has.
 */
export async function unprovenOf(
  copying: Copying,
  leases: readonly LeasedBlob[],
  needed: ReadonlyMap<Digest, NeededBlob>,
): Promise<ReadonlySet<Digest>> {
  const { proofs, signal } = copying
  const sizes = new Map(leases.flatMap((one) => (one.state === 'present' ? [[one.digest, one.sizeBytes]] : [])))
  if (sizes.size === 0) return new Set()
  const proofOf = await proofs.ofStored([...sizes.keys()], signal)
  const asked = [...proofOf].flatMap(([digest, proof]) =>
    proof === 'word' && !needed.get(digest)?.urls ? [{ digest, sizeBytes: sizes.get(digest) ?? undefined }] : [],
  )
  const said = await askWord(copying, asked)
  return new Set([...proofOf.keys()].filter((digest) => !said.has(digest)))
}

/** Which of these blobs upstream says that it has, in these sizes. One that it says nothing of, or cannot, has to be given. */
export async function askWord(
  { remote, proofs, concurrency, signal }: Pick<Copying, 'remote' | 'proofs' | 'concurrency' | 'signal'>,
  blobs: readonly Pick<NeededBlob, 'digest' | 'sizeBytes'>[],
): Promise<ReadonlySet<Digest>> {
  const said: Digest[] = []
  await inParallel(blobs, concurrency, signal, async ({ digest, sizeBytes }, both) => {
    try {
      const size = await remote.client.blobSize(remote.repository, digest, both)
      if (size !== undefined && size === sizeBytes) said.push(digest)
    } catch (error) {
      // Some know no HEAD; what else fails is told when the bytes cannot be had either.
      if (!(error instanceof UpstreamError)) throw error
    }
  })
  await proofs.given(said)
  return new Set(said)
}
