import type { Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import { Problem } from '@berth/service'

/** What of a run did not succeed while the rest did. */
export type SyncFailure = { tag?: string; digest?: Digest; code: string; message: string }

/** Keeps what failed, where a run goes on without it. */
export type Failures = {
  /** Notes why something could not be had; throws it again where that ends the run. */
  note(error: unknown, what: { tag?: string; digest?: Digest }): void
  /** Something went well. */
  clear(): void
  /** The manifests and blobs that could not be had. */
  readonly byDigest: ReadonlyMap<Digest, SyncFailure>
  readonly byTag: ReadonlyMap<string, SyncFailure>
}

const ofOneThing = new Set(['platform_missing', 'signature_missing', 'signature_untrusted'])
// An upstream that is away would otherwise be waited for once for each of its tags.
const mostInARow = 10

/** `fail`: the first failure ends the run. `skip`: only one that will meet everything else too; `onSkipped` hears of the others. */
export function createFailures(
  onError: 'fail' | 'skip',
  onSkipped: (what: string, failure: { code: string; message: string }) => void = () => undefined,
): Failures {
  const byDigest = new Map<Digest, SyncFailure>()
  const byTag = new Map<string, SyncFailure>()
  let inARow = 0
  return {
    byDigest,
    byTag,
    clear: () => {
      inARow = 0
    },
    note: (error, { tag, digest }) => {
      const failure = onError === 'skip' ? failureOf(error) : undefined
      if (!failure) throw error
      if (isAway(error) && ++inARow >= mostInARow) throw error
      onSkipped(tag === undefined ? `${digest}` : `tag ${tag}`, failure)
      if (tag !== undefined) byTag.set(tag, { tag, ...failure })
      else if (digest) byDigest.set(digest, { digest, ...failure })
    },
  }
}

/** Why one thing failed; `undefined` when it is no matter of that thing alone: limits, logins, and everything that is ours. */
function failureOf(error: unknown): { code: string; message: string } | undefined {
  if (error instanceof Problem && ofOneThing.has(error.code)) return { code: error.code, message: error.message }
  if (!(error instanceof UpstreamError)) return undefined
  const { code } = error
  const message = shortened(error.message)
  if (['rate_limited', 'unauthorized', 'address_refused', 'tls'].includes(code)) return undefined
  return { code: `upstream_${code}`, message }
}

const mostCharacters = 2_000

/** What an upstream has to do with may be as long as it likes; tasks and events are not. */
export function shortened(message: string): string {
  return message.length > mostCharacters ? `${message.slice(0, mostCharacters).toWellFormed()}…` : message
}

function isAway(error: unknown): boolean {
  return error instanceof UpstreamError && ['unavailable', 'timeout'].includes(error.code)
}
