import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { padding, tarEnd, writeHeader } from '../context/tar-header.ts'
import { type CompressOptions, compressLayers } from './compress-layers.ts'
import { blobPath, type Descriptor, type Manifest, readJson } from './read-base.ts'

const layerType = 'application/vnd.oci.image.layer.v1.tar'
const configType = 'application/vnd.oci.image.config.v1+json'
const imageType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'
// More than a member of the gzip file has, and nothing that is alike.
const dense = Buffer.concat(Array.from({ length: 150_000 }, (_, n) => createHash('sha256').update(`${n}`).digest()))
const latest = 1_000_000_000
const options = {
  known: new Set<string>(),
  layers: new Map<string, Descriptor>(),
  latest,
  limitBytes: 64 << 20,
  signal: new AbortController().signal,
}
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A layer that was made at a time. */
function layerOf(mtime: number): Buffer {
  const header = writeHeader({ name: 'a', type: '0', mode: 0o644, size: dense.length, mtime, linkName: '' })
  return Buffer.concat([header, dense, padding(dense.length), tarEnd])
}
const built = layerOf(1_764_500_000)
const builtLater = layerOf(1_764_599_999)
const timeless = layerOf(latest)
const digests = new Set<string>()

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'berth-layers-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function layoutOf() {
  const [layout = '', to = ''] = await Promise.all(['layout-', 'to-'].map((name) => mkdtemp(path.join(folder, name))))
  await mkdir(path.join(layout, 'blobs', 'sha256'), { recursive: true })
  const add = async (mediaType: string, bytes: Buffer): Promise<Descriptor> => {
    await writeFile(blobPath(layout, digestOf(bytes)), bytes)
    return { mediaType, digest: digestOf(bytes), size: bytes.length }
  }
  const addJson = (mediaType: string, value: object) => add(mediaType, Buffer.from(JSON.stringify(value)))
  const addImage = async (layers: Descriptor[], diffIds: string[], more: object = {}) => {
    const config = await add(configType, Buffer.from(configOf(diffIds, more)))
    return addJson(imageType, { schemaVersion: 2, config, layers })
  }
  const finish = async (image: Descriptor, more: Partial<CompressOptions> = {}) => {
    const made = await compressLayers(image, { ...options, from: [layout], to, ...more })
    return { made, to, ...(await readJson<Manifest & { manifests: Descriptor[] }>(to, made.digest)) }
  }
  return { layout, to, add, addJson, addImage, finish }
}

// As no program of JavaScript would write it.
const configOf = (diffIds: string[], more: object) =>
  `{"os": "linux", "config": {"Healthcheck": {"Interval": 9223372036854775807}}, "more": ${JSON.stringify(more)}, "rootfs": {"diff_ids": ${JSON.stringify(diffIds)}}}`

test.each([
  ['+zstd', zstdCompressSync],
  ['+gzip', gzipSync],
  ['', (bytes: Buffer) => bytes],
])(
  'a layer of the type tar%s becomes one in gzip, and of the time of its build nothing is left',
  async (suffix, pack) => {
    for (const content of [built, builtLater]) {
      const { layout, add, addImage, finish } = await layoutOf()
      const own = await add(`${layerType}${suffix}`, pack(content))
      const { made, to, layers, config } = await finish(await addImage([own], [digestOf(content)]))
      const bytes = await readFile(blobPath(to, layers[0]?.digest ?? ''))
      expect(layers).toEqual([{ mediaType: `${layerType}+gzip`, digest: digestOf(bytes), size: bytes.length }])
      expect(gunzipSync(bytes).equals(timeless)).toBe(true)
      const text = configOf([digestOf(timeless)], {})
      expect(await readFile(blobPath(to, config.digest), 'utf8')).toBe(text)
      expect(config).toEqual({ mediaType: configType, digest: digestOf(Buffer.from(text)), size: text.length })
      digests.add(made.digest)
      expect(digests.size).toBe(1)
      expect(await readdir(path.join(to, 'blobs', 'sha256'))).toHaveLength(3)
      // The cache keeps what came.
      expect((await readFile(blobPath(layout, own.digest))).equals(pack(content))).toBe(true)
    }
  },
)

test('layers of bases stay as they are, and images of an index share what they had in common', async () => {
  const { add, addImage, addJson, finish, to } = await layoutOf()
  const base: Descriptor = { mediaType: `${layerType}+zstd`, digest: `sha256:${'b'.repeat(64)}`, size: 7 }
  const own = await add(`${layerType}+zstd`, zstdCompressSync(built))
  // A layer of a base that the engine has written in a form of its own.
  const other: Descriptor = {
    mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    digest: `sha256:${'c'.repeat(64)}`,
    size: 8,
  }
  const again = await add(`${layerType}+zstd`, zstdCompressSync(builtLater))
  const diffIds = [digestOf(Buffer.from('base')), digestOf(builtLater), digestOf(built)]
  const manifests = [
    { ...(await addImage([base, again, own], diffIds)), platform: { os: 'linux', architecture: 'amd64' } },
    {
      ...(await addImage([base, again, own, own], [...diffIds, digestOf(built)])),
      platform: { os: 'linux', architecture: 'arm64' },
    },
  ]
  const index = await addJson(indexType, { schemaVersion: 2, manifests })
  const images = await finish(index, {
    known: new Set([base.digest]),
    layers: new Map([[digestOf(builtLater), other]]),
  })
  expect(images.manifests.map(({ platform }) => platform)).toEqual(manifests.map(({ platform }) => platform))
  const [first, second] = await Promise.all(images.manifests.map(({ digest }) => readJson<Manifest>(to, digest)))
  expect(first?.layers.slice(0, 2)).toEqual([base, { ...other, mediaType: `${layerType}+gzip` }])
  expect(second?.layers).toEqual([...(first?.layers ?? []), first?.layers[2]])
  const config = await readJson(to, second?.config.digest ?? '')
  expect(config).toMatchObject({
    rootfs: { diff_ids: [...diffIds.slice(0, 2), digestOf(timeless), digestOf(timeless)] },
  })
  expect(await readdir(path.join(to, 'blobs', 'sha256'))).toHaveLength(6)
})

test('a layer that is not what the configuration says, is cut, no tar, or unpacks to too much is refused', async () => {
  const { to, add, addImage, finish } = await layoutOf()
  const own = await add(`${layerType}+zstd`, zstdCompressSync(built))
  const wrong = await addImage([own], [digestOf(builtLater)])
  await expect(finish(wrong)).rejects.toThrow('is not the layer')
  // Nor is it what another image may say of it.
  const right = await addImage([own], [digestOf(built)])
  const both = await addImage([own, own], [digestOf(built), digestOf(builtLater)])
  await expect(finish(both)).rejects.toThrow('is not the layer')
  await expect(finish(await addImage([own], []))).rejects.toThrow('has 1 layers, and names 0')
  await expect(finish(right, { limitBytes: 1 << 20 })).rejects.toThrow('unpacks to more')
  const half = await add(`${layerType}+zstd`, zstdCompressSync(built).subarray(0, 1 << 20))
  await expect(finish(await addImage([half], [digestOf(built)]))).rejects.toThrow('unexpected end of file')
  for (const [bytes, message] of [
    [dense, 'checksum'],
    [built.subarray(0, -1024), 'breaks off'],
  ] as const) {
    const odd = await add(layerType, bytes)
    await expect(finish(await addImage([odd], [digestOf(bytes)]))).rejects.toThrow(message)
  }
  expect((await readdir(path.join(to, 'blobs', 'sha256'))).filter((name) => name.endsWith('.gz'))).toEqual([])
})

test('what a sandbox calls a digest leads to no file outside of the layout', async () => {
  const { layout, to, addImage, finish } = await layoutOf()
  const outside = await mkdtemp(path.join(folder, 'outside-'))
  await writeFile(path.join(outside, 'canary'), built)
  const digest = `sha256:${path.relative(path.join(layout, 'blobs', 'sha256'), path.join(outside, 'canary'))}`
  const image = await addImage([{ mediaType: layerType, digest, size: 1 }], [digestOf(built)])
  await expect(finish(image)).rejects.toThrow('not a digest')
  await expect(finish({ ...image, digest })).rejects.toThrow('not a digest')
  expect(await readdir(outside)).toEqual(['canary'])
  expect(await readdir(path.join(to, 'blobs', 'sha256'))).toEqual([])
})
