import { createHash } from 'node:crypto'
import { asDigest, type Digest, mediaTypes, parseManifest } from '@berth/oci'
import type { BuiltManifest } from './read-layout.ts'

/** What is attested of a build: what went into it, by names and digests, and when. No value of a build arg, and no secret. */
export type Provenance = {
  buildId: string
  builder: string
  engine: { name: string; version: string }
  repository: string
  subject: string
  containerfile: string
  context: Digest | null
  bases: { reference: string; digest: string }[]
  request: {
    target: string | null
    platforms: string[]
    buildArgs: string[]
    labels: string[]
    secrets: string[]
    network: string
    noCache: boolean
  }
  startedAt: Date
  finishedAt: Date
}

const inTotoType = 'application/vnd.in-toto+json'
const spdxType = 'application/spdx+json'
const emptyConfig = Buffer.from('{}')
const emptyType = 'application/vnd.oci.empty.v1+json'
const predicateType = 'https://slsa.dev/provenance/v1'
// How builds here come about; who verifies compares it.
const buildType = 'https://berth.dev/build/v1'

/** A document with its media type, as a referrer of an image has it. */
export type Attached = { bytes: Buffer; mediaType: string; artifactType: string; annotations: Record<string, string> }

/** The in-toto statement of a build, with SLSA provenance v1 as its predicate. */
export function provenanceOf(provenance: Provenance): Attached {
  const { subject, repository, bases, containerfile, context, request, engine, builder } = provenance
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: repository, digest: digestSet(subject) }],
    predicateType,
    predicate: {
      buildDefinition: {
        buildType,
        externalParameters: { repository, ...request },
        internalParameters: { engine },
        resolvedDependencies: [
          { name: 'containerfile', digest: digestSet(digestOf(Buffer.from(containerfile))) },
          ...(context ? [{ name: 'context', digest: digestSet(context) }] : []),
          ...bases.map(({ reference, digest }) => ({ name: reference, digest: digestSet(digest) })),
        ],
      },
      runDetails: {
        builder: { id: builder },
        metadata: {
          invocationId: provenance.buildId,
          startedOn: provenance.startedAt.toISOString(),
          finishedOn: provenance.finishedAt.toISOString(),
        },
      },
    },
  }
  return {
    bytes: Buffer.from(JSON.stringify(statement)),
    mediaType: inTotoType,
    artifactType: inTotoType,
    annotations: { 'in-toto.io/predicate-type': predicateType },
  }
}

/** A bill of materials in SPDX. */
export function sbomOf(bytes: Buffer): Attached {
  return { bytes, mediaType: spdxType, artifactType: spdxType, annotations: {} }
}

/** The manifest that makes a document a referrer of an image (image-spec manifest.md, "Guidelines for Artifact Usage"). */
export function referrerOf(
  subject: { digest: Digest; mediaType: string; sizeBytes: number },
  { bytes, mediaType, artifactType, annotations }: Attached,
): { manifest: BuiltManifest; blobs: Map<Digest, Buffer> } {
  const document = { mediaType, digest: digestOf(bytes), size: bytes.length, annotations }
  const config = { mediaType: emptyType, digest: digestOf(emptyConfig), size: emptyConfig.length, data: 'e30=' }
  const body = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType,
      config,
      layers: [document],
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.sizeBytes },
      annotations,
    }),
  )
  return {
    manifest: { ...parseManifest(body), digest: digestOf(body), bytes: body },
    blobs: new Map([
      [document.digest, bytes],
      [config.digest, emptyConfig],
    ]),
  }
}

export function digestOf(bytes: Uint8Array): Digest {
  return asDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
}

function digestSet(digest: string): Record<string, string> {
  const [algorithm = '', hex = ''] = digest.split(':')
  return { [algorithm]: hex }
}
