import type { Digest } from '@berth/oci'
import { Problem } from '@berth/service'
import { requireSignature } from '@berth/signatures'
import type { Remote } from '../db/generated/client.ts'
import type { FetchDeps } from '../fetch/deps.ts'
import { inParallel } from '../fetch/in-parallel.ts'
import { requirementsOf } from '../verify/requirements.ts'
import { upstreamSignatures } from '../verify/upstream-signatures.ts'
import type { ResolvedTag } from './chosen.ts'

/** What has to be fetched: tags that are new or moved, and manifests that are wanted without one. */
export type Wanted = { moved: ResolvedTag[]; members: Digest[] }

/**
 * Leaves out what is not signed as the remote and the repository require, before anything of it is fetched; each is a failure that
 * says why. `below` are manifests of indexes that the repository has, for which the index vouches. `isStrict`: signatures are
 * required.
 */
export async function verifyWanted(
  { catalog, upstream, report: { failures } }: Pick<FetchDeps, 'catalog' | 'upstream' | 'report'>,
  { remote, repository }: { remote: Remote; repository: string },
  { below, ...wanted }: Wanted & { below: ReadonlySet<Digest> },
  signal: AbortSignal,
): Promise<{ wanted: Wanted; isStrict: boolean }> {
  const requirements = await requirementsOf(catalog, remote, repository, signal)
  if (requirements.length === 0) return { wanted, isStrict: false }
  const refused = new Set<Digest>()
  const tagsOf = Map.groupBy(wanted.moved, (tag) => tag.digest)
  const roots = new Set([...tagsOf.keys(), ...wanted.members.filter((digest) => !below.has(digest))])
  await inParallel(roots, upstream.concurrency, signal, async (digest, both) => {
    try {
      for (const requirement of requirements) {
        const source = upstreamSignatures({ ...upstream, sigstore: requirement.sigstore }, both)
        await requireSignature(source, requirement, digest)
      }
    } catch (error) {
      both.throwIfAborted()
      refused.add(digest)
      for (const { name } of tagsOf.get(digest) ?? []) failures.note(ofTag(name, error), { tag: name })
      if (!tagsOf.has(digest)) failures.note(error, { digest })
    }
  })
  const moved = wanted.moved.filter((tag) => !refused.has(tag.digest))
  const members = wanted.members.filter((digest) => !refused.has(digest))
  return { wanted: { moved, members }, isStrict: true }
}

/** A refusal that says which tag it is about; other errors are of everything. */
function ofTag(tag: string, error: unknown): unknown {
  return error instanceof Problem && error.status === 403
    ? new Problem(403, error.code, `Tag "${tag}": ${error.message}.`, { cause: error })
    : error
}
