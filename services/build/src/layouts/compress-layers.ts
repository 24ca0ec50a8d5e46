import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { PassThrough, type Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { imageType, indexType, ociDescriptor, writeIndex, writeManifest } from './adopt-layers.ts'
import { createTimeClamp } from './clamp-times.ts'
import { gzipMembers } from './gzip-members.ts'
import { blobPath, type Descriptor, type Manifest } from './read-base.ts'

const layerType = 'application/vnd.oci.image.layer.v1.tar'

/** The usual 16 KiB are some thousand turns of the event loop for each 100 MB. */
const chunkSize = 1 << 20
/** Of an index, a manifest or a configuration. */
const mostTextBytes = 16 << 20

export type CompressOptions = {
  /** The layouts that blobs of the image are in, and the one that gets it. */
  from: readonly string[]
  to: string
  /** Blobs of the bases, and their layers by what they unpack to: these stay as they are. */
  known: ReadonlySet<string>
  layers: ReadonlyMap<string, Descriptor>
  /** In seconds since 1970: no time in a layer is later. */
  latest: number
  /** A layer that unpacks to more throws. */
  limitBytes: number
  signal: AbortSignal
}

/**
 * Writes an image, or the images of an index, with layers in gzip, which every client reads, in place of those that the engine wrote in
 * a hurry, and without the times at which they were built. Each has to be what its configuration says that it unpacks to. Returns what
 * stands for the image now.
 */
export async function compressLayers(image: Descriptor, options: CompressOptions): Promise<Descriptor> {
  const run: Run = { options, done: new Map() }
  await mkdir(path.join(options.to, 'blobs', 'sha256'), { recursive: true })
  if (image.mediaType === imageType) return compressImage(run, image)
  if (image.mediaType !== indexType) throw new Error(`the sandbox gave ${image.mediaType}, which is no image`)
  const { manifests } = JSON.parse(await readText(options, image)) as { manifests: Descriptor[] }
  const made: Descriptor[] = []
  for (const one of manifests) made.push({ ...one, ...(await compressImage(run, one)) })
  return writeIndex(options.to, made)
}

/** A layer as it is now, and what it unpacks to. */
type Made = { descriptor: Descriptor; diffId: string }
type Run = {
  options: CompressOptions
  /** Images of an index have layers in common. */
  done: Map<string, Made>
}

async function compressImage(run: Run, image: Descriptor): Promise<Descriptor> {
  const { options } = run
  const manifest = JSON.parse(await readText(options, image)) as Manifest
  const config = await readText(options, manifest.config)
  const diffIds = diffIdsIn(config)
  if (diffIds.length !== manifest.layers.length)
    throw new Error(`${image.digest} of the result has ${manifest.layers.length} layers, and names ${diffIds.length}`)
  const made: Made[] = []
  for (const [at, layer] of manifest.layers.entries()) made.push(await compressLayer(run, layer, diffIds[at] ?? ''))
  const layers = made.map(({ descriptor }) => descriptor)
  const written = { ...manifest, config: await writeConfig(options.to, manifest.config, config, made), layers }
  return writeManifest(options.to, imageType, written)
}

/** Writes a configuration with other layers than it had, and not a byte of it else changed. */
async function writeConfig(to: string, before: Descriptor, text: string, layers: readonly Made[]): Promise<Descriptor> {
  const now = layers.map(({ diffId }) => diffId)
  const known = new Map(diffIdsIn(text).map((diffId, at) => [diffId, now[at] ?? diffId]))
  const config = text.replace(/"(sha256:[0-9a-f]{64})"/g, (as, diffId) =>
    known.has(diffId) ? `"${known.get(diffId)}"` : as,
  )
  if (diffIdsIn(config).join() !== now.join())
    throw new Error(`${before.digest} of the result names its layers in no usual way`)
  const bytes = Buffer.from(config)
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  await writeFile(blobPath(to, digest), bytes, { mode: 0o644 })
  return { ...before, digest, size: bytes.length }
}

function diffIdsIn(config: string): string[] {
  return (JSON.parse(config) as { rootfs?: { diff_ids?: string[] } }).rootfs?.diff_ids ?? []
}

async function compressLayer({ options, done }: Run, layer: Descriptor, diffId: string): Promise<Made> {
  if (options.known.has(layer.digest)) return { descriptor: layer, diffId }
  const base = options.layers.get(diffId)
  if (base) return { descriptor: ociDescriptor(base), diffId }
  const key = `${layer.digest} ${diffId}`
  const made = done.get(key) ?? (await packLayer(options, layer, diffId))
  done.set(key, made)
  return made
}

/** Writes a layer anew, in gzip. */
async function packLayer(options: CompressOptions, layer: Descriptor, diffId: string): Promise<Made> {
  const partial = `${blobPath(options.to, layer.digest)}.gz`
  try {
    const { was, is, digest, size } = await pack(layer, partial, options)
    if (was !== diffId) throw new Error(`${layer.digest} of the result is not the layer ${diffId}`)
    await rename(partial, blobPath(options.to, digest))
    return { descriptor: { mediaType: `${layerType}+gzip`, digest, size }, diffId: is }
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function pack(
  { digest, mediaType }: Descriptor,
  to: string,
  { from, latest, limitBytes, signal }: CompressOptions,
) {
  const [was, is, packed] = [createHash('sha256'), createHash('sha256'), createHash('sha256')]
  const clamp = createTimeClamp(latest)
  let bytes = 0
  let size = 0
  const file = await open(to, 'wx', 0o644)
  try {
    await pipeline(
      createReadStream(fileOf(from, digest), { highWaterMark: chunkSize }),
      decompressorOf(mediaType),
      async function* (source: Readable) {
        for await (const chunk of source as AsyncIterable<Buffer>) {
          bytes += chunk.length
          if (bytes > limitBytes) throw new Error(`a layer of the result unpacks to more than ${limitBytes} bytes`)
          // Before its times are changed, which happens in the chunk itself.
          was.update(chunk)
          for (const part of clamp.push(chunk)) {
            is.update(part)
            yield part
          }
        }
        clamp.end()
      },
      async (source: AsyncIterable<Buffer>) => {
        for await (const member of gzipMembers(source)) {
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
  return { was: digestOf(was), is: digestOf(is), digest: digestOf(packed), size }
}

function digestOf(hash: ReturnType<typeof createHash>): string {
  return `sha256:${hash.digest('hex')}`
}

function decompressorOf(mediaType: string): Transform {
  if (mediaType === `${layerType}+zstd`) return createZstdDecompress({ chunkSize })
  if (mediaType === `${layerType}+gzip`) return createGunzip({ chunkSize })
  if (mediaType === layerType) return new PassThrough()
  throw new Error(`the sandbox gave a layer of the type ${mediaType}`)
}

async function readText({ from }: CompressOptions, { digest }: Descriptor): Promise<string> {
  const file = fileOf(from, digest)
  if ((await stat(file)).size > mostTextBytes) throw new Error(`${digest} of the result is too large for what it is`)
  return readFile(file, 'utf8')
}

/** The file of a blob in the first layout that has it. */
function fileOf(layouts: readonly string[], digest: string): string {
  const file = layouts.map((layout) => blobPath(layout, digest)).find((one) => existsSync(one))
  if (file === undefined) throw new Error(`the result names ${digest}, which is not there`)
  return file
}
