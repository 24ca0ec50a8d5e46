import type { ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Report, Upstream } from './deps.ts'
import { inParallel } from './in-parallel.ts'

/**
 * Those of these manifests that upstream has too. Elsewhere in Berth they may be private: where that could be, they are fetched
 * from upstream again, which costs as little as a question.
 */
export async function proveManifests(
  { upstream, report }: { upstream: Upstream; report: Report },
  known: readonly ManifestRecord[],
  signal: AbortSignal,
): Promise<ManifestRecord[]> {
  const { client, repository, concurrency, proofs } = upstream
  const { progress, failures } = report
  if (known.length === 0) return []
  const wanted = await proofs.ofStored(
    known.map(({ digest }) => digest),
    signal,
  )
  const given: Digest[] = []
  await inParallel(wanted.keys(), concurrency, signal, async (digest, both) => {
    try {
      await client.manifest(repository, digest, both)
      given.push(digest)
      failures.clear()
    } catch (error) {
      both.throwIfAborted()
      failures.note(error, { digest })
    }
  })
  progress.fetchedManifests += given.length
  await proofs.given(given)
  const shown = new Set(given)
  return known.filter(({ digest }) => !wanted.has(digest) || shown.has(digest))
}
