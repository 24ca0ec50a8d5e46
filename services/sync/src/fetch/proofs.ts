import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { inBatches } from './in-parallel.ts'
import { type Known, knownOf, recordGiven } from './sources.ts'

/**
 * How an upstream shows that it has what Berth has from elsewhere: by its bytes, or by its word where the same upstream gave the
 * bytes once from another repository (docs/decisions/0022).
 */
export type Proof = 'bytes' | 'word'

/** What upstream has to show before a repository of ours gets what is not fetched for it. */
export type Proofs = {
  /** How it has to show each of these that are here; those that need nothing are left out. */
  ofStored(digests: readonly Digest[], signal: AbortSignal): Promise<ReadonlyMap<Digest, Proof>>
  /** As `ofStored`, of blobs that are not here but at some remote. */
  ofRemote(digests: readonly Digest[], signal: AbortSignal): Promise<ReadonlyMap<Digest, Proof>>
  /** Notes what upstream gave, or has shown that it has. */
  given(digests: readonly Digest[]): Promise<void>
}

type Deps = { db: Database; catalog: CommandClient<CatalogCommands> }
/** Where content comes from, and where it goes. The target may change from nowhere to a repository that is made meanwhile. */
type Place = { remoteId: string; repository: string; target: { readonly repositoryId: string } }

const atOnce = 1_000

/** Makes the proofs of one run, or of what is pulled through once. */
export function createProofs({ db, catalog }: Deps, { remoteId, repository, target }: Place): Proofs {
  const needed = async (
    digests: readonly Digest[],
    signal: AbortSignal,
    proofOf: (known: Known | undefined) => Proof | undefined,
  ) => {
    const proofs = new Map<Digest, Proof>()
    for (const batch of inBatches(digests, atOnce)) {
      const request = { repositoryId: target.repositoryId, digests: batch }
      const [free, known] = await Promise.all([
        catalog.call('list-freely-given', request, { signal }),
        knownOf(db, remoteId, batch),
      ])
      const isFree = new Set(free.digests)
      const byDigest = new Map(known.map((one) => [one.digest, one]))
      for (const digest of batch) {
        const proof = isFree.has(digest) ? undefined : proofOf(byDigest.get(digest))
        if (proof) proofs.set(digest, proof)
      }
    }
    return proofs
  }
  return {
    ofStored: (digests, signal) =>
      needed(digests, signal, (known) => {
        if (known?.givers.includes(repository)) return undefined
        return known && known.givers.length > 0 ? 'word' : 'bytes'
      }),
    ofRemote: (digests, signal) =>
      needed(digests, signal, (known) => {
        if (known?.givers.includes(repository)) return undefined
        // Where no other remote is known to have it, nothing of another remote can be given away.
        return known && !known.isElsewhere ? 'word' : 'bytes'
      }),
    given: (digests) => recordGiven(db, { remoteId, repository }, digests),
  }
}
