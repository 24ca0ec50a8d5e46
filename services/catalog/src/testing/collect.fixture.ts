import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BlobStore, createFileSystemStore } from '@berth/blobs'
import type { StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Collecting, type CollectResult, collect } from '../collect/collect.ts'
import { takeGenerations } from '../leases/place-blobs.ts'
import { deleteReference } from '../pushes/delete-reference.ts'
import { pushBlob } from '../pushes/push-blob.ts'
import { putManifest } from '../pushes/put-manifest.ts'
import { type Catalog, digestOf, newCall, startCatalog } from './catalog.fixture.ts'

/** A catalog with a store, where pushes write real bytes. */
export type Yard = Catalog & { blobs: BlobStore; folder: string }

/** `prepare` comes before anything lies in the folder of the store. */
export async function startYard(prepare?: (folder: string) => Promise<void>): Promise<Yard> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-collect-'))
  await prepare?.(folder)
  const blobs = createFileSystemStore({ root: folder })
  await blobs.check()
  const catalog = await startCatalog()
  const stop = async () => {
    await blobs.close()
    await catalog.stop()
    await rm(folder, { recursive: true, force: true })
  }
  return { ...catalog, blobs, folder, stop }
}

export const leaseSeconds = 3_600
const holder = (repository: string) => `push:${repository}`

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text)
}

/** Writes bytes under a number of their writer, as pushes do. */
export async function store(
  { db, blobs }: Yard,
  text: string,
): Promise<{ digest: Digest; generation: number; sizeBytes: number }> {
  const digest = digestOf(text)
  const [generation = 0] = await takeGenerations(db, 1)
  await blobs.write({ digest, generation }, once(text))
  return { digest, generation, sizeBytes: Buffer.byteLength(text) }
}

const target = (repository: string) => ({
  repository,
  mayCreate: true,
  actor: { id: null, name: 'ana' },
  holder: holder(repository),
})

export async function push(yard: Yard, repository: string, text: string, ttlSeconds = leaseSeconds): Promise<Digest> {
  const blob = await store(yard, text)
  const { blob: counting } = await pushBlob(yard.db, {
    ...target(repository),
    repositoryId: null,
    ...blob,
    keepSeconds: ttlSeconds,
  })
  await giveWay(yard, blob, counting)
  return blob.digest
}

export type Image = { name: string; blobs?: readonly Digest[]; children?: readonly Digest[]; subject?: Digest }

/** Pushes a manifest of its own bytes that names this. */
export async function pushImage(
  yard: Yard,
  repository: string,
  image: Image,
  tags: readonly string[],
): Promise<Digest> {
  const { blobs = [], children = [], subject } = image
  const stored = await store(yard, `manifest ${JSON.stringify(image)}`)
  const reference = (role: 'layer' | 'manifest' | 'subject') => (digest: Digest) => ({
    role,
    digest,
    mediaType: 'application/octet-stream',
    sizeBytes: 1,
    optional: role === 'subject',
    platform: undefined,
  })
  const references = [
    ...blobs.map(reference('layer')),
    ...children.map(reference('manifest')),
    ...(subject ? [reference('subject')(subject)] : []),
  ]
  const manifest = {
    ...stored,
    mediaType: 'image',
    isIndex: children.length > 0,
    artifactType: undefined,
    subject,
    annotations: {},
    references,
  }
  const reply = await putManifest(yard.db, { ...target(repository), manifest, tags: [...tags] }, newCall())
  await giveWay(yard, stored, reply.stored[0])
  return stored.digest
}

/** As registry does behind a push. */
async function giveWay({ blobs }: Yard, own: StoredBlob, counting: StoredBlob | null | undefined): Promise<void> {
  if (counting && counting.generation !== own.generation) await blobs.giveWay(own, counting)
}

/** Ends all leases, and the time for which links wait for their manifests, as time does. */
export async function endLeases({ db }: Yard): Promise<void> {
  await db.query("update lease set expires_at = now() - interval '1 second'")
  await db.query("update blob_link set kept_until = now() - interval '1 second'")
}

/** Deletes a manifest with its tags, and then every version but the latest. */
export async function drop(yard: Yard, repository: string, digest: Digest): Promise<void> {
  await yard.db.query('update repository set retain_versions = 1 where name = $1', [repository])
  await deleteReference(yard.db, { repository, actor: { id: null, name: 'ana' }, digest }, newCall())
}

/** One run of the collector; failures end the test unless it takes them. */
export async function runCollector(yard: Yard, more: Partial<Collecting> = {}): Promise<CollectResult> {
  return collect({
    db: yard.db,
    blobs: yard.blobs,
    graceSeconds: 0,
    thorough: false,
    signal: new AbortController().signal,
    onFailure: (error) => {
      throw error
    },
    ...more,
  })
}

/** What the store holds under the generation of its row. */
export async function storedDigests({ blobs }: Yard): Promise<Digest[]> {
  const found: Digest[] = []
  for await (const { digest } of blobs.walk()) found.push(digest)
  return found.sort()
}

export async function stateOf(
  { db }: Yard,
  digest: Digest,
): Promise<{ state: string; generation: number } | undefined> {
  const [row] = await db.query<{ state: string; generation: number }>(
    'select state, generation from blob where digest = $1',
    [digest],
  )
  return row
}
