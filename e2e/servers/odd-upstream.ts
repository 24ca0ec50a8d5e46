import {
  type Blob,
  imageOf,
  type Manifest,
  type MisbehavingUpstream,
} from '@berth/registry-client/misbehaving-upstream'

/** What stands under a tag there, and has to come from it whatever the way. */
export type OddTag = { manifest: Manifest; blobs: readonly Blob[] }

/** A registry that is odd in one way, as somebody met it. */
export type OddUpstream = {
  name: string
  /** The public report of it, or what allows it. */
  report: string
  /** Puts what is odd into a repository there. */
  put: (upstream: MisbehavingUpstream, repository: string) => Odd
}
export type Odd = {
  tags: Record<string, OddTag>
  /** What a sync tells beside having completed. */
  result?: object
  /** Further fields of a remote for it. */
  remote?: object
  /** Manifests that its indexes name as something else, and that a client asks for by digest. */
  byDigest?: readonly Manifest[]
}

/** An ordinary image under the tag `odd`, of a registry that answers some requests in its own way. */
export function ordinary(
  answers: (upstream: MisbehavingUpstream, repository: string) => void,
  result: object = {},
  remote: object = {},
) {
  return (upstream: MisbehavingUpstream, repository: string): Odd => {
    const { manifest, config, layers } = imageOf(repository, 2_000)
    upstream.add(repository, 'odd', { manifest, config, layers })
    answers(upstream, repository)
    return { tags: { odd: { manifest, blobs: [config, ...layers] } }, result, remote }
  }
}
