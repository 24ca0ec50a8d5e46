import { mediaTypes } from '@berth/oci'
import { expect, test } from '@jest/globals'
import { digestOf, sourceOf, tarOf } from './archive.fixture.ts'
import { openTar } from './archive.ts'
import type { ByteSource } from './byte-source.ts'
import { readContents } from './contents.ts'
import { blobName, layoutBytes, layoutName, ociIndexName } from './member-names.ts'

/** A layout with one image of so many foreign layers, under so many names. */
function layoutOf(layers: number, names: number): Buffer {
  const config = Buffer.from('{}')
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
      layers: Array.from({ length: layers }, (_none, at) => ({
        mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
        digest: digestOf(`layer ${at}`),
        size: 1,
        urls: ['https://example.com/layer'],
      })),
    }),
  )
  const digest = digestOf(manifest)
  const manifests = Array.from({ length: names }, (_none, at) => ({
    mediaType: mediaTypes.ociManifest,
    digest,
    size: manifest.length,
    annotations: { 'org.opencontainers.image.ref.name': `a/r${at}:1` },
  }))
  return tarOf([
    [layoutName, layoutBytes],
    [ociIndexName, Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }))],
    [blobName(digest), manifest],
    [blobName(digestOf(config)), config],
  ])
}

/** Counts what is read of a source. */
function counted(source: ByteSource): ByteSource & { bytes: number } {
  const counting = {
    ...source,
    bytes: 0,
    stream: async function* (...range: Parameters<ByteSource['stream']>) {
      for await (const chunk of source.stream(...range)) {
        counting.bytes += chunk.length
        yield chunk
      }
    },
  }
  return counting
}

const read = async (tar: Buffer) => readContents(await openTar(sourceOf(tar)))

test('an image of ten thousand layers under ten thousand names is refused, and takes no memory for each name', async () => {
  const tar = layoutOf(9_998, 9_999)
  const before = process.memoryUsage().heapUsed
  await expect(read(tar)).rejects.toThrow(
    /^index\.json leads to more than 500000 manifests and blobs, counted under each/,
  )
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(200 << 20)
}, 30_000)

test('an image under many names is read once', async () => {
  const source = counted(sourceOf(layoutOf(500, 500)))
  const { repositories } = await readContents(await openTar(source))
  expect(repositories).toHaveLength(500)
  expect(source.bytes).toBeLessThan(1 << 20)
  let lines = 0
  for await (const line of repositories[499]?.lines() ?? []) lines += Number('size' in line || 'tag' in line)
  expect(lines).toBe(503)
})

test('a layer of an archive of docker is read once, however many images name it', async () => {
  const layer = Buffer.alloc(1 << 20, 7)
  layer.set([0x1f, 0x8b])
  const layers = 100
  const diffIds = Array.from({ length: layers }, (_none, at) => digestOf(`tar ${at}`))
  const images = Array.from({ length: 30 }, (_none, at) => ({
    Config: 'c.json',
    RepoTags: [`app:${at}`],
    Layers: Array(layers).fill('layer.tar'),
  }))
  const source = counted(
    sourceOf(
      tarOf([
        ['manifest.json', Buffer.from(JSON.stringify(images))],
        ['c.json', Buffer.from(JSON.stringify({ rootfs: { diff_ids: diffIds } }))],
        ['layer.tar', layer],
      ]),
    ),
  )
  const { repositories } = await readContents(await openTar(source))
  expect(repositories.map(({ name }) => name)).toEqual(['app'])
  expect(source.bytes).toBeLessThan(4 << 20)
})

test.each([
  ['names', [{ Config: 'c', RepoTags: Array(1_000).fill('a:1'), Layers: [] }], 11, /more than 10000 names of images/],
  ['layers', [{ Config: 'c', RepoTags: ['a:1'], Layers: Array(1_000).fill('l') }], 201, /of more than 200000 layers/],
])('an archive of docker with very many %s is refused', async (_what, images, times, reason) => {
  const list = Array(times).fill(images).flat()
  await expect(read(tarOf([['manifest.json', Buffer.from(JSON.stringify(list))]]))).rejects.toThrow(reason)
})
