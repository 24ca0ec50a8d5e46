import type { BlobStore } from '@berth/blobs'
import { type Digest, manifestLimitBytes } from '@berth/oci'
import type { Database } from '@berth/service'
import type { SignatureSource } from '@berth/signatures'

const mostReferrers = 10_000

/** Where signatures are that came with what was staged: all of it is in the store, and was read out of the archive or is in the repository. */
export function stagedSignatures({ db, blobs }: { db: Database; blobs: BlobStore }, stage: string): SignatureSource {
  const manifest = (digest: Digest) => readSmall({ db, blobs }, digest, manifestLimitBytes)
  return {
    tagged: async (tag) => {
      const [row] = await db.query<{ digest: Digest }>(
        `select digest
         from stage_tag
         where stage = $1
           and name = $2
           and digest is not null`,
        [stage, tag],
      )
      return row && manifest(row.digest)
    },
    manifest,
    referrers: (digest) =>
      db.query<{ digest: Digest; artifactType: string | null }>(
        `select manifest.digest, manifest.artifact_type as "artifactType"
         from manifest
         join stage_manifest as staged on staged.stage = $1
           and staged.digest = manifest.digest
         where manifest.subject = $2
         order by manifest.digest
         limit ${mostReferrers}`,
        [stage, digest],
      ),
    blob: async function* (digest, sizeBytes) {
      yield await readSmall({ db, blobs }, digest, sizeBytes)
    },
    messages: async function* (digest) {
      const rows = await db.query<{ content: string }>(
        `select content
         from stage_signature
         where stage = $1
           and digest = $2
         order by name`,
        [stage, digest],
      )
      for (const { content } of rows) yield Buffer.from(content, 'base64')
    },
  }
}

async function readSmall(
  { db, blobs }: { db: Database; blobs: BlobStore },
  digest: Digest,
  limitBytes: number,
): Promise<Buffer> {
  const [row] = await db.query<{ generation: number }>(
    `select generation from blob where digest = $1 and state = 'present'`,
    [digest],
  )
  const blob = row && (await blobs.open({ digest, generation: row.generation }))
  // What is not there, or longer than it was said to be, is no signature; that there is none is what the caller says.
  if (!blob) return Buffer.alloc(0)
  try {
    return blob.sizeBytes > limitBytes ? Buffer.alloc(0) : Buffer.concat(await blob.stream().toArray())
  } finally {
    await blob.close()
  }
}
