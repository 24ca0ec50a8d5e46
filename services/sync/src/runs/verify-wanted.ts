import type { Digest } from '@berth/oci'
import { Problem } from '@berth/service'
import type { ResolvedTag } from '../copy/chosen.ts'
import type { Copying } from '../copy/copy-manifests.ts'
import { inParallel } from '../copy/in-parallel.ts'
import { requireSignature } from '../verify/require-signature.ts'
import type { Requirement } from '../verify/requirements.ts'

/** What has to be copied: tags that are new or moved, and manifests that come without one. */
export type Wanted = { moved: ResolvedTag[]; members: Digest[] }

/**
 * Leaves out what is not signed as is required, before anything of it is fetched; each is a failure that says why.
 * `below` are manifests of indexes that the repository has, for which the index vouches.
 */
export async function verifyWanted(
  copying: Copying,
  requirements: readonly Requirement[],
  { below, ...wanted }: Wanted & { below: ReadonlySet<Digest> },
): Promise<Wanted> {
  if (requirements.length === 0) return wanted
  const { remote, failures, concurrency, signal } = copying
  const refused = new Set<Digest>()
  const tagsOf = Map.groupBy(wanted.moved, (tag) => tag.digest)
  const roots = new Set([...tagsOf.keys(), ...wanted.members.filter((digest) => !below.has(digest))])
  await inParallel(roots, concurrency, signal, async (digest, both) => {
    try {
      for (const requirement of requirements) await requireSignature(remote, requirement, digest, both)
    } catch (error) {
      both.throwIfAborted()
      refused.add(digest)
      for (const { name } of tagsOf.get(digest) ?? []) failures.note(ofTag(name, error), { tag: name })
      if (!tagsOf.has(digest)) failures.note(error, { digest })
    }
  })
  return {
    moved: wanted.moved.filter((tag) => !refused.has(tag.digest)),
    members: wanted.members.filter((digest) => !refused.has(digest)),
  }
}

/** A refusal that says which tag it is about; other errors are of everything. */
function ofTag(tag: string, error: unknown): unknown {
  return error instanceof Problem && error.status === 403
    ? new Problem(403, error.code, `Tag "${tag}": ${error.message}.`, { cause: error })
    : error
}
