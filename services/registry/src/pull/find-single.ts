import { type Digest, OciError, parseManifest } from '@berth/oci'
import { LRUCache } from 'lru-cache'
import type { Lookup, ServedManifest } from '../model/lookup.ts'
import type { Pointer } from '../model/pointer.ts'
import type { ManifestBytes } from './manifest-bytes.ts'

const remembered = 10_000

/** The manifest that a client gets instead of a list which it cannot read. Throws MANIFEST_UNKNOWN when there is none. */
export type SingleFinder = (pointer: Pointer, list: ServedManifest) => Promise<ServedManifest>

/** Clients that know no lists know one platform only, and that is what other registries give them (docs/protocol.md#accept). */
export function createSingleFinder(lookup: Lookup, readBytes: ManifestBytes): SingleFinder {
  const members = new LRUCache<Digest, { digest: Digest | undefined }>({ max: remembered })
  const memberOf = async (list: ServedManifest) => {
    const known = members.get(list.digest)
    if (known) return known
    const { references } = parseManifest(await readBytes(list))
    const fitting = references.filter(({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64')
    // One without a variant runs on every amd64.
    const found = fitting.find(({ platform }) => platform?.variant === undefined) ?? fitting[0]
    members.set(list.digest, { digest: found?.digest })
    return { digest: found?.digest }
  }
  return async (pointer, list) => {
    const { digest } = await memberOf(list)
    const single = digest && (await lookup.manifest(pointer, digest))
    if (single) return single
    throw new OciError(
      'MANIFEST_UNKNOWN',
      `${list.digest} is a manifest list without an image for linux/amd64, and the request accepts no lists`,
    )
  }
}
