import { createHash } from 'node:crypto'
import type { ManifestRecord, StoredBlob } from '@berth/commands'
import { asDigest, type Digest, OciError, parseManifest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { OpenRemote } from '../remotes/open-remote.ts'
import { leaseBlobs, type Store } from './lease-blobs.ts'

type Upstream = Pick<OpenRemote, 'client' | 'repository' | 'host'>

/** Fetches a manifest and stores its bytes under a generation that is leased. */
export async function fetchManifest(
  { upstream, store }: { upstream: Upstream; store: Store },
  digest: Digest,
  generation: number,
  signal: AbortSignal,
): Promise<ManifestRecord> {
  const { bytes, signed, ...parsed } = await readUpstream(upstream, digest, signal)
  const payload = signed?.payload ?? bytes
  await store.blobs.write({ digest, generation }, once(payload), { signal, expectedBytes: payload.length })
  const envelope = signed ? { envelope: await storeEnvelope(store, bytes, signal) } : {}
  return { ...parsed, digest, sizeBytes: payload.length, generation, ...envelope }
}

/** As `fetchManifest`, but nothing is stored. */
export async function inspectManifest(
  upstream: Upstream,
  digest: Digest,
  signal: AbortSignal,
): Promise<ManifestRecord> {
  const { bytes, signed, ...parsed } = await readUpstream(upstream, digest, signal)
  return { ...parsed, digest, sizeBytes: (signed?.payload ?? bytes).length, generation: 1 }
}

async function readUpstream({ client, repository, host }: Upstream, digest: Digest, signal: AbortSignal) {
  const { bytes } = await client.manifest(repository, digest, signal)
  try {
    return { bytes, ...parseManifest(bytes) }
  } catch (cause) {
    if (!(cause instanceof OciError)) throw cause
    const message = `${host} has a manifest ${digest} in ${repository} that cannot be taken: ${cause.message}`
    throw new UpstreamError('protocol', message, { host, cause })
  }
}

/** Stores a signed manifest as it came, beside the part of it that its digest is of (docs/decisions/0009). */
async function storeEnvelope(store: Store, bytes: Uint8Array, signal: AbortSignal): Promise<StoredBlob> {
  const digest = asDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  const [lease] = await leaseBlobs(store, [digest], signal)
  const generation = lease?.generation ?? 1
  await store.blobs.write({ digest, generation }, once(bytes), { signal, expectedBytes: bytes.length })
  return { digest, generation, sizeBytes: bytes.length }
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
