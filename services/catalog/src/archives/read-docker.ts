import { createHash } from 'node:crypto'
import path from 'node:path/posix'
import { asDigest, configLimitBytes, type Digest, mediaTypes, parseDigest } from '@berth/oci'
import type { Archive } from './archive.ts'
import { BadArchive } from './bad-archive.ts'
import type { Plain } from './brought.ts'
import { has, listOf, objectIn, objectOf, textOf, textsOf, valueOf } from './checks.ts'
import { readImageName } from './image-names.ts'
import { bring, mostImages, type NamedImage, parseJson } from './read-oci.ts'
import type { Member } from './read-tar.ts'

const listLimitBytes = 4 << 20
const mostLayers = 1_000
const mostLayersOfAll = 200_000
const configType = 'application/vnd.oci.image.config.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar'

/**
 * Reads an archive of `docker save`, and of what writes the same (`docker-archive:` of skopeo). It has no manifests: one is made of each
 * image, with its configuration and its layers as they lie, which are not compressed.
 */
export async function readDockerArchive(archive: Archive, signal?: AbortSignal): Promise<Plain> {
  const place = 'manifest.json'
  const list = { place, members: { images: parseJson(await archive.read(place, listLimitBytes), place) } }
  const made = new Map<Digest, Buffer>()
  const members = createMembers(archive, signal)
  const { lying } = members
  const images: NamedImage[] = []
  const listed = listOf(list, 'images', mostImages, readImage)
  refuseTooMany(listed)
  for (const image of listed) {
    signal?.throwIfAborted()
    const manifest = await manifestOf(archive, image, members)
    const digest = digestOfBytes(manifest)
    made.set(digest, manifest)
    for (const name of image.names) images.push({ ...readImageName(name, `${image.place}.RepoTags`), digest })
  }
  if (images.length === 0) throw new BadArchive(place, 'names no image')
  for (const [digest, { offset, sizeBytes }] of lying) archive.blobs.add(digest, { offset, sizeBytes })
  for (const [digest, { length }] of made) archive.blobs.add(digest, { offset: 0, sizeBytes: length })
  archive.blobs.settle()
  const whole: Archive = {
    ...archive,
    streamBlob: (digest, aborts) => {
      const bytes = made.get(digest)
      return bytes ? once(bytes) : archive.streamBlob(digest, aborts)
    },
    placeOf: (digest) => (made.has(digest) ? place : (lying.get(digest)?.name ?? archive.placeOf(digest))),
  }
  const { repositories, notes } = await bring(whole, images, signal)
  const differ =
    'docker archives have no manifests: those made here have other digests than the images had where they come from'
  return { kind: 'docker-archive', archive: whole, repositories, notes: [differ, ...notes] }
}

type Image = { place: string; config: string; names: (string | undefined)[]; layers: string[] }

function readImage(entry: Parameters<Parameters<typeof listOf>[3]>[0]): Image {
  const hasNames = has(entry, 'RepoTags') && valueOf(entry, 'RepoTags') !== null
  const names = hasNames ? textsOf(entry, 'RepoTags', 1_000, 1_000) : []
  return {
    place: entry.place,
    config: textOf(entry, 'Config', 4_096),
    names: names.length > 0 ? names : [undefined],
    layers: textsOf(entry, 'Layers', mostLayers, 4_096),
  }
}

function refuseTooMany(images: readonly Image[]): void {
  const layers = images.reduce((sum, image) => sum + image.layers.length, 0)
  const names = images.reduce((sum, image) => sum + image.names.length, 0)
  if (names > mostImages) throw new BadArchive('manifest.json', `has more than ${mostImages} names of images`)
  if (layers > mostLayersOfAll)
    throw new BadArchive('manifest.json', `has images of more than ${mostLayersOfAll} layers, counted for each image`)
}

async function manifestOf(archive: Archive, { place, config, layers }: Image, members: Members): Promise<Buffer> {
  const { digest, size, diffIds } = await members.config(memberAt(archive, config, place))
  if (diffIds.length !== layers.length)
    throw new BadArchive(place, `has ${layers.length} layers, and its configuration says ${diffIds.length}`)
  const described = []
  for (const [at, name] of layers.entries())
    described.push(await members.layer(memberAt(archive, name, place), diffIds[at]))
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: configType, digest, size },
      layers: described,
    }),
  )
}

type Members = ReturnType<typeof createMembers>

/** Looks into members: into each once, however many images name it. */
function createMembers(archive: Archive, signal?: AbortSignal) {
  const lying = new Map<Digest, Member>()
  const configs = new Map<string, { digest: Digest; size: number; diffIds: Digest[] }>()
  const layers = new Map<string, { compression: string; digest: Digest | undefined }>()
  return {
    /** Where what was looked into lies. */
    lying,
    async config(member: Member) {
      const known = configs.get(member.name)
      if (known) return known
      const bytes = await archive.read(member.name, configLimitBytes)
      const diffIds = readDiffIds(bytes, member.name)
      const read = { digest: digestOfBytes(bytes), size: bytes.length, diffIds }
      lying.set(read.digest, member)
      configs.set(member.name, read)
      return read
    },
    async layer(member: Member, diffId: Digest | undefined) {
      const seen = layers.get(member.name) ?? (await lookInto(archive, member, signal))
      layers.set(member.name, seen)
      const { compression, digest = diffId } = seen
      if (!digest) throw new Error('a configuration has as many layers as its image')
      lying.set(digest, member)
      return { mediaType: `${layerType}${compression}`, digest, size: member.sizeBytes }
    },
  }
}

/** A layer that is no tar by its first bytes is compressed: then it has to be read to know its digest, for its configuration has that of the tar. */
async function lookInto(
  archive: Archive,
  member: Member,
  signal?: AbortSignal,
): Promise<{ compression: string; digest: Digest | undefined }> {
  let first: Buffer = Buffer.alloc(0)
  for await (const chunk of archive.stream(member.name, signal)) {
    first = chunk
    break
  }
  const begins = (...bytes: number[]) => bytes.every((byte, at) => first[at] === byte)
  const compression = begins(0x1f, 0x8b) ? '+gzip' : begins(0x28, 0xb5, 0x2f, 0xfd) ? '+zstd' : ''
  if (compression === '') return { compression, digest: undefined }
  const hash = createHash('sha256')
  for await (const chunk of archive.stream(member.name, signal)) hash.update(chunk)
  return { compression, digest: asDigest(`sha256:${hash.digest('hex')}`) }
}

/** The member of a name, over links from one member to another as docker writes them. */
function memberAt(archive: Archive, name: string, place: string): Member {
  let at = path.normalize(name)
  for (let steps = 0; steps < 8; steps++) {
    const member = archive.member(at)
    if (!member) throw new BadArchive(place, `names ${JSON.stringify(name.slice(0, 200))}, which is not in the archive`)
    if (member.link === undefined) return member
    at = path.normalize(path.join(path.dirname(at), member.link))
    if (at.startsWith('..') || path.isAbsolute(member.link)) break
  }
  throw new BadArchive(place, `names ${JSON.stringify(name.slice(0, 200))}, a link that leads out of the archive`)
}

function readDiffIds(bytes: Buffer, place: string): Digest[] {
  const rootfs = objectOf(objectIn(parseJson(bytes, place), place), 'rootfs')
  return textsOf(rootfs, 'diff_ids', mostLayers, 200).map((text) => {
    const digest = parseDigest(text)
    if (!digest) throw new BadArchive(`${place}.rootfs.diff_ids`, 'has what is no digest')
    return digest
  })
}

function digestOfBytes(bytes: Buffer): Digest {
  return asDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
}

async function* once(bytes: Buffer): AsyncIterable<Buffer> {
  yield bytes
}
