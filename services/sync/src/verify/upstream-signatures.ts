import { type Digest, parseDigest } from '@berth/oci'
import { companionTagOf, type Referring, type SignatureSource } from '@berth/signatures'
import { lookasideSignatures, type Signed } from './lookaside.ts'

/** Where upstream has signatures: in the registry itself, and on a lookaside server where one is named. */
export function upstreamSignatures(upstream: Signed, signal: AbortSignal): SignatureSource {
  const { client, repository } = upstream
  const manifest = async (reference: string) => (await client.manifest(repository, reference, signal)).bytes
  const tagged = async (tag: string) => ((await client.resolve(repository, tag, signal)) ? manifest(tag) : undefined)
  return {
    tagged,
    manifest,
    referrers: async (digest) =>
      (await client.referrers(repository, digest, signal)) ?? listed(await tagged(companionTagOf(digest))),
    blob: (digest, sizeBytes) => client.blob(repository, { digest, sizeBytes }, signal),
    messages: async function* (digest: Digest) {
      for (const { content } of (await client.signatures(repository, digest, signal)) ?? [])
        yield Buffer.from(content, 'base64')
      yield* lookasideSignatures(upstream, digest, signal)
    },
  }
}

/** What refers to a manifest where there is no API for that (distribution-spec, "Referrers Tag Schema"). */
function listed(bytes: Buffer | undefined): Referring[] {
  if (!bytes) return []
  try {
    const { manifests } = (JSON.parse(bytes.toString('utf8')) ?? {}) as { manifests?: unknown }
    if (!Array.isArray(manifests)) return []
    return manifests.flatMap((one: { digest?: unknown; artifactType?: unknown } | null) => {
      const digest = parseDigest(String(one?.digest))
      return digest ? [{ digest, artifactType: one?.artifactType }] : []
    })
  } catch {
    // What cannot be read lists nothing.
    return []
  }
}
