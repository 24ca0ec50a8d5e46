import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { compressLayers } from './compress-layers.ts'
import { blobPath, type Descriptor, type Manifest, readJson } from './read-base.ts'

const layerType = 'application/vnd.oci.image.layer.v1.tar'
const configType = 'application/vnd.oci.image.config.v1+json'
const imageType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'
// More than a member of the gzip file has, and nothing that is alike.
const content = Buffer.concat(Array.from({ length: 150_000 }, (_, n) => createHash('sha256').update(`${n}`).digest()))
const options = { known: new Set<string>(), limitBytes: 64 << 20, signal: new AbortController().signal }
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

const digests = new Set<string>()

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'berth-layers-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function layoutOf() {
  const layout = await mkdtemp(path.join(folder, 'layout-'))
  await mkdir(path.join(layout, 'blobs', 'sha256'), { recursive: true })
  const add = async (mediaType: string, bytes: Buffer): Promise<Descriptor> => {
    await writeFile(blobPath(layout, digestOf(bytes)), bytes)
    return { mediaType, digest: digestOf(bytes), size: bytes.length }
  }
  const addJson = (mediaType: string, value: object) => add(mediaType, Buffer.from(JSON.stringify(value)))
  const addImage = async (layers: Descriptor[], diffIds: string[]) => {
    const config = await addJson(configType, { rootfs: { diff_ids: diffIds } })
    return addJson(imageType, { schemaVersion: 2, config, layers })
  }
  return { layout, add, addJson, addImage }
}

test.each([
  ['+zstd', zstdCompressSync],
  ['+gzip', gzipSync],
  ['', (bytes: Buffer) => bytes],
])('a layer of the type tar%s becomes the same gzip, which unpacks to what it was', async (suffix, pack) => {
  const { layout, add, addImage } = await layoutOf()
  const own = await add(`${layerType}${suffix}`, pack(content))
  const image = await compressLayers(layout, await addImage([own], [digestOf(content)]), options)
  const { layers } = await readJson<Manifest>(layout, image.digest)
  const bytes = await readFile(blobPath(layout, layers[0]?.digest ?? ''))
  expect(layers).toEqual([{ mediaType: `${layerType}+gzip`, digest: digestOf(bytes), size: bytes.length }])
  expect(gunzipSync(bytes).equals(content)).toBe(true)
  digests.add(digestOf(bytes))
  expect(digests.size).toBe(1)
  expect(await readdir(path.join(layout, 'blobs', 'sha256'))).not.toContain(own.digest.slice('sha256:'.length))
})

test('layers of bases stay as they are, and images of an index share what they had in common', async () => {
  const { layout, add, addImage, addJson } = await layoutOf()
  const base: Descriptor = { mediaType: `${layerType}+zstd`, digest: `sha256:${'b'.repeat(64)}`, size: 7 }
  const own = await add(`${layerType}+zstd`, zstdCompressSync(content))
  const diffIds = [digestOf(Buffer.from('base')), digestOf(content)]
  const manifests = [
    { ...(await addImage([base, own], diffIds)), platform: { os: 'linux', architecture: 'amd64' } },
    {
      ...(await addImage([base, own, own], [...diffIds, digestOf(content)])),
      platform: { os: 'linux', architecture: 'arm64' },
    },
  ]
  const index = await addJson(indexType, { schemaVersion: 2, manifests })
  const made = await compressLayers(layout, index, { ...options, known: new Set([base.digest]) })
  const images = await readJson<{ manifests: Descriptor[] }>(layout, made.digest)
  expect(images.manifests.map(({ platform }) => platform)).toEqual(manifests.map(({ platform }) => platform))
  const layers = await Promise.all(
    images.manifests.map(async ({ digest }) => (await readJson<Manifest>(layout, digest)).layers),
  )
  expect(layers[0]?.[0]).toEqual(base)
  expect(layers[1]).toEqual([...(layers[0] ?? []), layers[0]?.[1]])
})

test('a layer that is not what the configuration says, is cut, or unpacks to too much is refused', async () => {
  const { layout, add, addImage } = await layoutOf()
  const own = await add(`${layerType}+zstd`, zstdCompressSync(content))
  const wrong = await addImage([own], [digestOf(Buffer.from('other'))])
  await expect(compressLayers(layout, wrong, options)).rejects.toThrow('is not the layer')
  const right = await addImage([own], [digestOf(content)])
  await expect(compressLayers(layout, right, { ...options, limitBytes: 1 << 20 })).rejects.toThrow('unpacks to more')
  const half = await add(`${layerType}+zstd`, zstdCompressSync(content).subarray(0, 1 << 20))
  await expect(compressLayers(layout, await addImage([half], [digestOf(content)]), options)).rejects.toThrow(
    'unexpected end of file',
  )
  expect((await readdir(path.join(layout, 'blobs', 'sha256'))).filter((name) => name.endsWith('.gz'))).toEqual([])
})
