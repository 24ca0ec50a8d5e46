import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type BlobStore, createFileSystemStore } from '@berth/blobs'
import { type Digest, hexOf } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { leaseBlobs, recordBlobs } from '../leases/leases.ts'
import { stageContent } from '../stages/stage-content.ts'
import { type Catalog, digestOf, pushBlob, pushManifest, startCatalog } from '../testing/catalog.fixture.ts'
import { readConfigs } from './read-configs.ts'

let catalog: Catalog
let root: string
let blobs: BlobStore
beforeAll(async () => {
  catalog = await startCatalog()
  root = await mkdtemp(path.join(tmpdir(), 'berth-facts-'))
  blobs = createFileSystemStore({ root })
  await blobs.check()
})
afterAll(async () => {
  await blobs.close()
  await catalog.stop()
  await rm(root, { recursive: true, force: true })
})

const configOf = (architecture: string) => JSON.stringify({ os: 'linux', architecture })

/** An image as it was recorded before there were facts; its configuration is in the store if wanted. */
async function oldImage(architecture: string, { stored }: { stored: boolean }): Promise<Digest> {
  const text = configOf(architecture)
  const config = await pushBlob(catalog.db, 'facts/app', text, text.length)
  const layer = await pushBlob(catalog.db, 'facts/app', 'a layer')
  const digest = await pushManifest(catalog.db, 'facts/app', { blobs: [config, layer] }, [architecture])
  await catalog.db.query('update manifest set facts = null, config_unread = true where digest = $1', [digest])
  await catalog.db.query(
    `update manifest_reference set media_type = 'application/vnd.oci.image.config.v1+json' where manifest = $1 and role = 'config'`,
    [digest],
  )
  const [row] = await catalog.db.query<{ generation: number }>('select generation from blob where digest = $1', [
    config,
  ])
  const key = { digest: config, generation: row?.generation ?? 0 }
  if (stored) await blobs.write(key, once(text), {})
  return digest
}

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text)
}

async function factsOf(digest: Digest): Promise<unknown> {
  const [row] = await catalog.db.query<{ facts: unknown }>('select facts from manifest where digest = $1', [digest])
  return row?.facts
}

const read = () => readConfigs(catalog.db, blobs, new AbortController().signal)

test('what was recorded before there were facts gets them, and what has no bytes those that it has by itself', async () => {
  const whole = await oldImage('amd64', { stored: true })
  const bare = await oldImage('arm64', { stored: false })
  await read()
  expect(await factsOf(whole)).toEqual({ kind: 'image', compressedBytes: 100, os: 'linux', architecture: 'amd64' })
  expect(await factsOf(bare)).toEqual({ kind: 'image', compressedBytes: 100 })
})

test('one configuration that the store fails to give keeps no other from being read, and is read once it does', async () => {
  const images = []
  for (const architecture of ['riscv64', 's390x', 'ppc64le'])
    images.push(await oldImage(architecture, { stored: true }))
  const hex = hexOf(digestOf(configOf('s390x')))
  const entries = await readdir(root, { recursive: true })
  const file = path.join(root, entries.find((entry) => path.basename(entry).includes(hex)) ?? 'none')
  await rm(file)
  await mkdir(file)
  await expect(read()).rejects.toThrow(hex)
  const known = await Promise.all(images.map(factsOf))
  expect(known).toEqual([
    expect.objectContaining({ architecture: 'riscv64' }),
    null,
    expect.objectContaining({ architecture: 'ppc64le' }),
  ])
  await rm(file, { recursive: true })
  await read()
  expect(await factsOf(images[1] as Digest)).toMatchObject({ kind: 'image' })
})

test('what a sync has told of is left alone until its configuration has come', async () => {
  const text = configOf('mips64le')
  const config = digestOf(text)
  const manifest = {
    digest: digestOf(`image of ${text}`),
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    isIndex: false,
    sizeBytes: 10,
    generation: 1,
    annotations: {},
    references: [
      {
        role: 'config' as const,
        digest: config,
        mediaType: 'application/vnd.oci.image.config.v1+json',
        sizeBytes: text.length,
        optional: false,
      },
    ],
  }
  const { db } = catalog
  const lease = async (digest: Digest) =>
    (await leaseBlobs(db, { holder: 'sync:1', digests: [digest], ttlSeconds: 60 }))[0]
  const stored = { generation: (await lease(manifest.digest))?.generation ?? 0 }
  const content = { stage: randomUUID(), fence: 1, manifests: [{ ...manifest, ...stored }], tags: [] }
  await stageContent(db, content)
  await read()
  const generation = (await lease(config))?.generation ?? 0
  await read()
  await blobs.write({ digest: config, generation }, once(text), {})
  await db.transaction((sql) => recordBlobs(sql, [{ digest: config, generation, sizeBytes: text.length }]))
  await read()
  expect(await factsOf(manifest.digest)).toMatchObject({ kind: 'image', architecture: 'mips64le' })
})
