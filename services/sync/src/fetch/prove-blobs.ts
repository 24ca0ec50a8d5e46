import type { LeasedBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { OpenRemote } from '../remotes/open-remote.ts'
import type { NeededBlob } from './blob-line.ts'
import { inParallel } from './in-parallel.ts'
import type { Proofs } from './proofs.ts'

type Upstream<P extends keyof Proofs> = Pick<OpenRemote, 'client' | 'repository' | 'concurrency'> & {
  proofs: Pick<Proofs, P>
}

/**
 * Which of the blobs that are here have to be fetched, to show that upstream has them: all for which its word is not enough, or
 * that it does not say it has.
 */
export async function findUnproven(
  upstream: Upstream<'ofStored' | 'given'>,
  leases: readonly LeasedBlob[],
  needed: ReadonlyMap<Digest, NeededBlob>,
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const sizes = new Map(leases.flatMap((one) => (one.state === 'present' ? [[one.digest, one.sizeBytes]] : [])))
  if (sizes.size === 0) return new Set()
  const proofOf = await upstream.proofs.ofStored([...sizes.keys()], signal)
  const asked = [...proofOf].flatMap(([digest, proof]) =>
    proof === 'word' && !needed.get(digest)?.urls ? [{ digest, sizeBytes: sizes.get(digest) ?? undefined }] : [],
  )
  const said = await proveByWord(upstream, asked, signal)
  return new Set([...proofOf.keys()].filter((digest) => !said.has(digest)))
}

/** Which of these blobs upstream says that it has, in these sizes. Those of which it says nothing have to be fetched. */
export async function proveByWord(
  { client, repository, concurrency, proofs }: Upstream<'given'>,
  blobs: readonly Pick<NeededBlob, 'digest' | 'sizeBytes'>[],
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const said: Digest[] = []
  await inParallel(blobs, concurrency, signal, async ({ digest, sizeBytes }, both) => {
    try {
      const size = await client.blobSize(repository, digest, both)
      if (size !== undefined && size === sizeBytes) said.push(digest)
    } catch (error) {
      // Some registries know no HEAD; what else fails is told when the bytes cannot be fetched either.
      if (!(error instanceof UpstreamError)) throw error
    }
  })
  await proofs.given(said)
  return new Set(said)
}
