import { createHash, type KeyObject, sign } from 'node:crypto'
import { asDigest, type Digest, mediaTypes } from '@berth/oci'
import { changeContentHash, emptyContentHash } from '../versions/content-hash.ts'
import { BadArchive } from './bad-archive.ts'
import type { ByteSource } from './byte-source.ts'
import { inPieces } from './byte-source.ts'
import { type ExportedDistribution, type IndexDocument, writeIndex } from './document.ts'
import { type ListLine, writeLine } from './list-lines.ts'
import { blobName, indexName, layoutBytes, layoutName, listName, ociIndexName, signatureName } from './member-names.ts'
import { memberHeader, paddingBytes, tarEnd } from './tar.ts'

const origin = '0f0f0f0f-0000-4000-8000-000000000001'

/** What a repository of an archive is made of, in a test. */
export type Packed = {
  name: string
  id: string
  version?: number
  since?: { number: number; contentHash: string }
  tags: Record<string, Digest>
  manifests: Map<Digest, Buffer>
  blobs: Map<Digest, Buffer>
  signatures?: { signature: string; digest: Digest; content: string }[]
  immutableTags?: string[]
  held?: ReadonlySet<Digest>
  foreign?: ReadonlySet<Digest>
  /** What all manifests are said to have been pushed as. */
  mediaType?: string
}

export function digestOf(bytes: Buffer | string): Digest {
  return asDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
}

/** A repository with images of layers of so many bytes each, one tag for each of them. */
export function packImages(name: string, images: Record<string, readonly (Buffer | number)[]>): Packed {
  const manifests = new Map<Digest, Buffer>()
  const blobs = new Map<Digest, Buffer>()
  const tags: Record<string, Digest> = {}
  const add = (bytes: Buffer) => {
    blobs.set(digestOf(bytes), bytes)
    return { digest: digestOf(bytes), size: bytes.length }
  }
  for (const [tag, layers] of Object.entries(images)) {
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      ...add(Buffer.from(JSON.stringify({ tag }))),
    }
    const described = layers.map((layer, at) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      ...add(typeof layer === 'number' ? Buffer.alloc(layer, digestOf(`${name} ${tag} ${at}`)) : layer),
    }))
    const manifest = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: described }),
    )
    manifests.set(digestOf(manifest), manifest)
    tags[tag] = digestOf(manifest)
  }
  return { name, id: idOf(name), tags, manifests, blobs }
}

function idOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** The content hash of the version that a repository of a test is. */
export function hashOf({ manifests, tags, signatures = [], mediaType }: Packed): string {
  return changeContentHash(
    emptyContentHash,
    [
      ...[...manifests.keys()].map((digest) => (mediaType ? `${digest}=${mediaType}` : digest)),
      ...Object.entries(tags).map(([tag, digest]) => `${tag}=${digest}`),
      ...signatures.map(({ signature, content }) => `${signature}=${digestOf(content).slice('sha256:'.length)}`),
    ],
    [],
  )
}

type PackOptions = { key?: KeyObject; distributions?: ExportedDistribution[]; formatVersion?: number }

/** The members of an archive as Berth writes it. */
export function pack(repositories: readonly Packed[], options: PackOptions = {}): [name: string, bytes: Buffer][] {
  const carried = new Map<Digest, Buffer>()
  const lists = repositories.map(
    ({ mediaType, manifests, blobs, tags, signatures = [], held = new Set<Digest>(), foreign = new Set<Digest>() }) => {
      const sorted = (map: ReadonlyMap<Digest, Buffer>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
      for (const [digest, bytes] of [...manifests, ...blobs])
        if (!held.has(digest) && !foreign.has(digest)) carried.set(digest, bytes)
      const mark = (digest: Digest) => (held.has(digest) ? { held: true as const } : {})
      const lines: ListLine[] = [
        ...sorted(manifests).map(([manifest, { length: size }]) => ({
          manifest,
          size,
          ...(mediaType ? { mediaType } : {}),
          ...mark(manifest),
        })),
        ...sorted(blobs).map(([blob, { length: size }]) => ({
          blob,
          size,
          ...mark(blob),
          ...(foreign.has(blob) ? { foreign: true as const } : {}),
        })),
        ...Object.entries(tags)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([tag, digest]) => ({ tag, digest })),
        ...signatures,
      ]
      return { bytes: Buffer.from(lines.map(writeLine).join('')), lines: lines.length }
    },
  )
  const ociIndex = Buffer.from('{"schemaVersion":2,"manifests":[]}')
  const index: IndexDocument = {
    formatVersion: (options.formatVersion ?? 1) as 1,
    origin,
    blobs: { count: carried.size, bytes: [...carried.values()].reduce((sum, { length }) => sum + length, 0) },
    ociIndex: { digest: digestOf(ociIndex), size: ociIndex.length },
    repositories: repositories.map((repository, at) => ({
      name: repository.name,
      id: repository.id,
      description: '',
      labels: {},
      immutableTags: repository.immutableTags ?? [],
      version: {
        number: repository.version ?? 3,
        contentHash: hashOf(repository),
        cause: 'push',
        createdAt: '2026-11-02T09:30:00.000Z',
        counts: {
          tags: Object.keys(repository.tags).length,
          manifests: repository.manifests.size,
          blobs: repository.blobs.size,
          signatures: repository.signatures?.length ?? 0,
        },
      },
      ...(repository.since ? { since: repository.since } : {}),
      facts: [],
      contents: {
        member: listName(at + 1),
        digest: digestOf(lists[at]?.bytes ?? ''),
        size: lists[at]?.bytes.length ?? 0,
        lines: lists[at]?.lines ?? 0,
      },
    })),
    ...(options.distributions ? { distributions: options.distributions } : {}),
  }
  const document = writeIndex(index)
  return [
    [layoutName, layoutBytes],
    [indexName, document],
    ...(options.key ? [[signatureName, sign(null, document, options.key)] as [string, Buffer]] : []),
    ...lists.map(({ bytes }, at): [string, Buffer] => [listName(at + 1), bytes]),
    [ociIndexName, ociIndex],
    ...[...carried]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([digest, bytes]): [string, Buffer] => [blobName(digest), bytes]),
  ]
}

export function tarOf(members: Iterable<readonly [name: string, bytes: Buffer]>): Buffer {
  const parts: Buffer[] = []
  for (const [name, bytes] of members)
    parts.push(memberHeader(name, bytes.length), bytes, Buffer.alloc(paddingBytes(bytes.length)))
  return Buffer.concat([...parts, tarEnd])
}

/** Bytes in memory as what an archive is read from. */
export function sourceOf(bytes: Buffer, name = 'export.tar'): ByteSource {
  const read = async (offset: number, length: number) => {
    if (offset + length > bytes.length) throw new BadArchive(`${name} at ${bytes.length}`, 'breaks off')
    return bytes.subarray(offset, offset + length)
  }
  return {
    sizeBytes: bytes.length,
    read,
    stream: (offset, length) => inPieces({ read }, offset, length),
    placeOf: (offset) => `${name} at ${offset}`,
    close: async () => {},
  }
}
