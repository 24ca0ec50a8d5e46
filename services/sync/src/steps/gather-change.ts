import type { Digest } from '@berth/oci'
import { Problem } from '@berth/service'
import type { Failures, SyncFailure } from '../fetch/failures.ts'
import { isMirror, type ResolvedTag } from './chosen.ts'
import type { Change } from './commit-run.ts'
import type { Found, RunDeps } from './find-content.ts'

/** Gathers what a run hands to catalog: all that succeeded, parted from what failed. A tag that failed is left as it is. */
export function gatherChange(
  { run, report: { failures } }: Pick<RunDeps, 'run' | 'report'>,
  { chosen, wanted, companions, graph }: Found,
): { change: Change; failures: SyncFailure[] } {
  const failed = failedRoots(failures.byDigest, graph.namedBy)
  const failureOf = ({ name, digest }: ResolvedTag) => failures.byTag.get(name) ?? failed.get(digest)
  const mirrors = isMirror(run, chosen)
  const all = [...chosen.tags, ...companions.tags]
  const tags = (mirrors ? all : [...wanted.moved, ...companions.moved]).filter((tag) => !failureOf(tag))
  const members = [
    ...(mirrors ? [...chosen.digests, ...companions.staying] : []),
    ...wanted.members,
    ...companions.added,
    ...[...graph.settled].filter((digest) => graph.namedBy.get(digest)?.some((by) => !failed.has(by))),
  ]
  const told = listFailures(all, failures, failureOf)
  const [first] = told
  const good = members.filter((digest) => !failed.has(digest))
  if (first && tags.length + good.length === 0 && all.length + chosen.digests.length <= told.length)
    throw new Problem(502, first.code, `Nothing could be had. ${first.message}`)
  return {
    change: {
      tags,
      members: [...new Set(good)],
      kept: [
        ...companions.kept,
        ...told.flatMap(({ tag }) => (tag === undefined ? [] : [tag])),
        ...chosen.digests.filter((digest) => failed.has(digest)),
      ],
      signatures: companions.signatures,
    },
    failures: told,
  }
}

/** Each tag that failed, and what failed that no tag explains. */
function listFailures(
  tags: readonly ResolvedTag[],
  failures: Failures,
  failureOf: (tag: ResolvedTag) => SyncFailure | undefined,
): SyncFailure[] {
  const explained = new Set<SyncFailure>()
  const found = tags.flatMap((tag) => {
    const failure = failureOf(tag)
    if (failure) explained.add(failure)
    return failure ? [{ ...failure, tag: tag.name, digest: tag.digest }] : []
  })
  const others = [...failures.byTag.values(), ...failures.byDigest.values()].filter((one) => !explained.has(one))
  return [...found, ...others]
}

/** The roots that reach something that failed, with that failure. `namedBy` tells what names a manifest or blob. */
function failedRoots(
  byDigest: ReadonlyMap<Digest, SyncFailure>,
  namedBy: ReadonlyMap<Digest, readonly Digest[]>,
): Map<Digest, SyncFailure> {
  const failed = new Map(byDigest)
  const queue = [...failed.keys()]
  for (let digest = queue.pop(); digest; digest = queue.pop()) {
    const failure = failed.get(digest)
    for (const above of namedBy.get(digest) ?? []) {
      if (failed.has(above) || !failure) continue
      failed.set(above, failure)
      queue.push(above)
    }
  }
  return failed
}
