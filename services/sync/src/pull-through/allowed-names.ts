import { parseRepositoryPattern } from '@berth/oci'
import { Problem } from '@berth/service'
import type { Remote } from '../db/generated/client.ts'

/** Refuses what a remote does not cover, where it names repositories and not only a host. Throws 403. */
export function refuseOthers({ upstreamName, upstreamNames }: Remote, wanted: string): void {
  const patterns = upstreamName === null ? upstreamNames : [upstreamName]
  if (patterns.length === 0 || patterns.some((pattern) => parseRepositoryPattern(pattern).matches(wanted))) return
  throw new Problem(403, 'upstream_not_covered', `${wanted} is not among what is pulled through here.`, {
    hint: 'An administrator can add it to upstreamNames of the remote.',
  })
}

/** Refuses a remote that was given another address: what is here under a name is never mixed with what another registry has. Throws 409. */
export function refuseOtherHost(host: string, wanted: string): void {
  if (host === wanted) return
  throw new Problem(409, 'remote_moved', `The remote names another registry by now, and this is what ${wanted} has.`, {
    hint: 'Give the remote its address back, or make another pull-through distribution.',
  })
}
