import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { PassThrough, type Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createGunzip, createZstdDecompress, gzip } from 'node:zlib'
import { imageType, indexType, writeIndex, writeManifest } from './adopt-layers.ts'
import { blobPath, type Descriptor, type Manifest, readJson } from './read-base.ts'

const compress = promisify(gzip)
const layerType = 'application/vnd.oci.image.layer.v1.tar'

/** Each is a member of the gzip file by itself, so that several are compressed at once. Their size is part of what a layer's digest is. */
const memberBytes = 2 << 20
/** Layers get as small as those of buildah and skopeo; the usual level takes half as long again for two hundredths less. */
const level = 4
/** The threads that compress are those that read and write files for everybody. */
const membersAtOnce = 3
/** The usual 16 KiB are some thousand turns of the event loop for each 100 MB. */
const chunkSize = 1 << 20

export type CompressOptions = {
  /** Layers of the bases, which stay as they are. */
  known: ReadonlySet<string>
  /** A layer that unpacks to more throws. */
  limitBytes: number
  signal: AbortSignal
}

/**
 * Gives an image, or the images of an index, layers in gzip, which every client reads, in place of those that the engine wrote in a hurry.
 * Each has to be what its configuration says that it unpacks to. Returns what stands for the image now.
 */
export async function compressLayers(layout: string, image: Descriptor, options: CompressOptions): Promise<Descriptor> {
  const run: Run = { layout, options, layers: new Map(), replaced: new Map() }
  const made = await compressAll(run, image)
  // Last: images of an index may be one.
  for (const [before, after] of run.replaced) if (before !== after) await rm(blobPath(layout, before))
  return made
}

type Run = {
  layout: string
  options: CompressOptions
  layers: Map<string, Descriptor>
  /** Manifests, by their digests before. */
  replaced: Map<string, string>
}

async function compressAll(run: Run, image: Descriptor): Promise<Descriptor> {
  if (image.mediaType === imageType) return compressImage(run, image)
  if (image.mediaType !== indexType) throw new Error(`the sandbox gave ${image.mediaType}, which is no image`)
  const { manifests } = await readJson<{ manifests: Descriptor[] }>(run.layout, image.digest)
  const made: Descriptor[] = []
  for (const one of manifests) made.push({ ...one, ...(await compressImage(run, one)) })
  const index = await writeIndex(run.layout, made)
  run.replaced.set(image.digest, index.digest)
  return index
}

async function compressImage({ layout, options, layers: done, replaced }: Run, image: Descriptor): Promise<Descriptor> {
  const manifest = await readJson<Manifest>(layout, image.digest)
  const { rootfs } = await readJson<{ rootfs?: { diff_ids?: string[] } }>(layout, manifest.config.digest)
  const layers: Descriptor[] = []
  for (const [at, layer] of manifest.layers.entries()) {
    const isOfBase = options.known.has(layer.digest)
    const made = isOfBase
      ? layer
      : (done.get(layer.digest) ?? (await compressLayer(layout, layer, rootfs?.diff_ids?.[at], options)))
    done.set(layer.digest, made)
    layers.push(made)
  }
  const made = await writeManifest(layout, imageType, { ...manifest, layers })
  replaced.set(image.digest, made.digest)
  return made
}

/** Writes a layer anew, in gzip, and removes it in the form that it had. */
async function compressLayer(
  layout: string,
  layer: Descriptor,
  diffId: string | undefined,
  options: CompressOptions,
): Promise<Descriptor> {
  const from = blobPath(layout, layer.digest)
  const partial = `${from}.gz`
  try {
    const made = await pack(from, partial, layer.mediaType, options)
    if (made.diffId !== diffId) throw new Error(`${layer.digest} of the result is not the layer ${diffId}`)
    await rename(partial, blobPath(layout, made.digest))
    await rm(from)
    return { mediaType: `${layerType}+gzip`, digest: made.digest, size: made.size }
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function pack(from: string, to: string, mediaType: string, { limitBytes, signal }: CompressOptions) {
  const unpacked = createHash('sha256')
  const packed = createHash('sha256')
  let bytes = 0
  let size = 0
  const file = await open(to, 'wx', 0o644)
  try {
    await pipeline(
      createReadStream(from, { highWaterMark: chunkSize }),
      decompressorOf(mediaType),
      async function* (source: Readable) {
        for await (const chunk of source as AsyncIterable<Buffer>) {
          bytes += chunk.length
          if (bytes > limitBytes) throw new Error(`a layer of the result unpacks to more than ${limitBytes} bytes`)
          unpacked.update(chunk)
          yield chunk
        }
      },
      async (source: AsyncIterable<Buffer>) => {
        for await (const member of inOrder(source)) {
          packed.update(member)
          size += member.length
          await file.writeFile(member)
        }
      },
      { signal },
    )
  } finally {
    await file.close()
  }
  return { diffId: `sha256:${unpacked.digest('hex')}`, digest: `sha256:${packed.digest('hex')}`, size }
}

function decompressorOf(mediaType: string): Transform {
  if (mediaType === `${layerType}+zstd`) return createZstdDecompress({ chunkSize })
  if (mediaType === `${layerType}+gzip`) return createGunzip({ chunkSize })
  if (mediaType === layerType) return new PassThrough()
  throw new Error(`the sandbox gave a layer of the type ${mediaType}`)
}

/** The members of the gzip file one after another, some of them compressed ahead. */
async function* inOrder(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const ahead: Promise<Buffer>[] = []
  try {
    for await (const block of blocksOf(source)) {
      const member = compress(block, { level })
      // Its failure is seen when its turn comes.
      member.catch(() => undefined)
      ahead.push(member)
      if (ahead.length === membersAtOnce) yield await (ahead.shift() as Promise<Buffer>)
    }
    for (const member of ahead) yield await member
  } finally {
    await Promise.allSettled(ahead)
  }
}

async function* blocksOf(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + memberBytes - bytes)
      chunks.push(part)
      bytes += part.length
      at += part.length
      if (bytes < memberBytes) continue
      yield Buffer.concat(chunks)
      chunks = []
      bytes = 0
    }
  }
  if (bytes > 0) yield Buffer.concat(chunks)
}
