import type { BlobKey } from '@berth/blobs'
import { type Digest, servableType } from '@berth/oci'
import type { Database } from '@berth/service'
import { LRUCache } from 'lru-cache'
import { heldAt, typeOf } from './held.ts'
import type { Pointer } from './pointer.ts'

/** A manifest that is served, and where its bytes lie: under its digest, or in an envelope (docs/decisions/0009). */
export type ServedManifest = { digest: Digest; mediaType: string; sizeBytes: number; stored: BlobKey }
/** A blob that is served, and where its bytes lie. */
export type ServedBlob = { digest: Digest; generation: number; sizeBytes: number }

/** Finds content under a pointer. `undefined`: not served there, whatever the store holds. */
export type Lookup = {
  tag(pointer: Pointer, tag: string): Promise<ServedManifest | undefined>
  manifest(pointer: Pointer, digest: Digest): Promise<ServedManifest | undefined>
  blob(pointer: Pointer, digest: Digest): Promise<ServedBlob | undefined>
  /** As `blob`, for a caller that does not wait for the pointer first: what is mostly absent is not in memory anyway. */
  blobAt(basePath: string, digest: Digest): Promise<ServedBlob | undefined>
}

const manifestColumns = `facts.digest, ${typeOf('member')} as "mediaType", coalesce((facts.envelope ->> 'sizeBytes')::bigint, facts.size_bytes) as "sizeBytes",
  coalesce(facts.envelope, jsonb_build_object('digest', facts.digest, 'generation', facts.generation)) as stored`

/**
 * What manifests name. What pushes have linked and no manifest names yet catalog alone knows. A manifest is no blob: a client that got
 * one so would remember it as bytes without a type (docs/protocol.md#leniency).
 */
function blobQuery(where: { repositoryId: string; bound: string; from?: string }): string {
  const { repositoryId, bound, from = '' } = where
  return `
    select digest, generation::bigint as generation, size_bytes as "sizeBytes"
    from ${from} blob_facts as facts
    where digest = $2
      and exists (
        select
        from served_blob as member
        where member.repository_id = ${repositoryId}
          and member.digest = facts.digest
          and ${heldAt(bound)})
    limit 1`
}

const queries = {
  tag: `
    select ${manifestColumns}
    from served_tag as tag
    join manifest_facts as facts using (digest)
    left join served_manifest as member on member.repository_id = $1
      and member.digest = tag.digest
      and ${heldAt('$3', 'member')}
    where tag.repository_id = $1
      and tag.name = $2
      and ${heldAt('$3', 'tag')}`,
  manifest: `
    select ${manifestColumns}
    from served_manifest as member
    join manifest_facts as facts using (digest)
    where member.repository_id = $1
      and member.digest = $2
      and ${heldAt('$3', 'member')}
    limit 1`,
  blob: blobQuery({ repositoryId: '$1', bound: '$3' }),
  blobAt: blobQuery({
    repositoryId: 'target.repository_id',
    bound: 'target.bound',
    from: `(
      select repository_id, coalesce(pinned, latest_version + 1) as bound
      from pointer
      where base_path = $1) as target,`,
  }),
}
const rememberedBytes = 64 << 20
// What an entry takes beside its texts.
const entryBytes = 200

/**
 * Answers from memory where it can: what stands under (distribution, epoch, name) cannot change, so it is never wrong.
 * Absence is not remembered, for clients can ask for names without end.
 */
export function createLookup(db: Database): Lookup {
  const manifests = new LRUCache<string, ServedManifest>({
    maxSize: rememberedBytes,
    sizeCalculation: ({ mediaType, digest }, key) => entryBytes + key.length + mediaType.length + 2 * digest.length,
  })
  const blobs = new LRUCache<string, ServedBlob>({
    maxSize: rememberedBytes,
    sizeCalculation: ({ digest }, key) => entryBytes + key.length + digest.length,
  })
  const keyOf = (pointer: Pointer, name: string) => `${pointer.distributionId}@${pointer.epoch}:${name}`

  const findManifest = async (name: 'tag' | 'manifest', pointer: Pointer, reference: string) => {
    const key = keyOf(pointer, reference)
    const known = manifests.get(key)
    if (known) return known
    const [row] = await db.prepared<ServedManifest>(`lookup-${name}`, queries[name], [
      pointer.repositoryId,
      reference,
      pointer.bound,
    ])
    if (!row) return undefined
    const manifest = { ...row, mediaType: servableType(row.mediaType) }
    manifests.set(key, manifest)
    return manifest
  }

  return {
    tag: (pointer, tag) => findManifest('tag', pointer, tag),
    manifest: (pointer, digest) => findManifest('manifest', pointer, digest),
    blob: async (pointer, digest) => {
      const key = keyOf(pointer, digest)
      const known = blobs.get(key)
      if (known) return known
      const values = [pointer.repositoryId, digest, pointer.bound]
      const [row] = await db.prepared<ServedBlob>('lookup-blob', queries.blob, values)
      if (row) blobs.set(key, row)
      return row
    },
    blobAt: async (basePath, digest) => {
      const [row] = await db.prepared<ServedBlob>('lookup-blob-at', queries.blobAt, [basePath, digest])
      return row
    },
  }
}
