import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type BlobStore, openBlobStore } from '@berth/blobs'
import { type CatalogCommands, commandsOf, type LeasedBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { createRegistryClient, type RegistryClient } from '@berth/registry-client'
import {
  blobOf,
  imageOf,
  type MisbehavingUpstream,
  startMisbehavingUpstream,
} from '@berth/registry-client/misbehaving-upstream'
import { closeServer, createInternalClient, createInternalServer, createLogger, listen } from '@berth/service'
import { privateKeyOf, publicKeys } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { BlobSource } from './blob-line.ts'
import { createFailures } from './failures.ts'
import { allOf, fetchBlobs } from './fetch-blobs.ts'
import { newProgress } from './progress.ts'
import type { Proofs } from './proofs.ts'

const log = createLogger({ service: 'sync', silent: true })
let upstream: MisbehavingUpstream
let client: RegistryClient
let blobs: BlobStore
let folder: string

beforeAll(async () => {
  upstream = await startMisbehavingUpstream()
  upstream.add('team/app', 'v1', imageOf('something', 1_000))
  client = createRegistryClient({ url: upstream.url, allowPrivateAddresses: true, retries: 0 })
  folder = await mkdtemp(join(tmpdir(), 'berth-fetch-'))
  blobs = await openBlobStore({ blobsDirectory: folder })
})
afterAll(async () => {
  await client?.close()
  await upstream?.close()
  await blobs?.close()
  await rm(folder, { recursive: true })
})

type Leased = Pick<LeasedBlob, 'isNew' | 'isAlone'>
type Recorded = { blobs: unknown[] }

/** Fetches blobs with a catalog that answers so. */
async function fetchWith(
  { lease, record }: { lease: (digests: Digest[]) => object[]; record: (blobs: unknown[]) => void },
  { source, ofStored }: { source: BlobSource; ofStored: Proofs['ofStored'] },
) {
  const catalog = createInternalServer({
    service: 'catalog',
    publicKeys,
    log,
    commands: {
      'lease-blobs': async ({ digests }: { digests: Digest[] }) => ({ blobs: lease(digests) }),
      'record-blobs': async ({ blobs }: Recorded) => {
        record(blobs)
        return {}
      },
    },
  })
  const { server, port } = await listen(catalog, { port: 0, host: '127.0.0.1' })
  const internal = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'sync',
    to: 'catalog',
    privateKey: privateKeyOf('sync'),
  })
  try {
    const commands = commandsOf<CatalogCommands>(internal)
    const { host } = new URL(upstream.url)
    const proofs = { ofStored, given: async () => undefined }
    const deps = {
      upstream: { client, repository: 'team/app', host, concurrency: 1, proofs },
      store: { catalog: commands, blobs, holder: 'sync:1' },
      report: { progress: newProgress(), failures: createFailures('fail') },
    }
    const [outcome] = await Promise.allSettled([fetchBlobs(deps, source, new AbortController().signal)])
    return outcome
  } finally {
    await internal.close()
    await closeServer(server, 0)
  }
}

const blobNamed = (name: string) => blobOf(Buffer.from(`${name} ${randomUUID()}`))
const neededBlobs = (...some: ReturnType<typeof blobNamed>[]) =>
  new Map(some.map(({ digest, bytes }) => [digest, { digest, sizeBytes: bytes.length, isLayer: true }]))

/** Fetches a blob that lies in the store and that upstream lacks, with a catalog that gives these leases in turn. */
async function fetchStored(leases: Leased[]) {
  const blob = blobNamed('left behind')
  const { digest, bytes } = blob
  const generation = 1
  await blobs.write({ digest, generation }, Readable.from([bytes]))
  const recorded: unknown[] = []
  const outcome = await fetchWith(
    {
      lease: () => [{ digest, generation, state: 'write', sizeBytes: null, ...leases.shift() }],
      record: (some) => void recorded.push(...some),
    },
    { source: allOf(neededBlobs(blob)), ofStored: async () => new Map() },
  )
  return { outcome, recorded, stored: { digest, generation, sizeBytes: bytes.length } }
}

const own = { isNew: false, isAlone: true }
const shared = { isNew: false, isAlone: false }

test('what a killed run left in the store is taken up by the same run', async () => {
  const { outcome, recorded, stored } = await fetchStored([own, own])
  expect(outcome).toMatchObject({ status: 'fulfilled', value: { fetched: 0, savedBytes: stored.sizeBytes } })
  expect(recorded).toEqual([stored])
})

test.each([
  ['before it leased them', [shared, shared]],
  ['after it leased them', [own, shared]],
])('bytes that somebody else may have brought, %s, are no proof that upstream has them', async (_when, leases) => {
  const { outcome, recorded } = await fetchStored(leases)
  expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'not_found' } })
  expect(recorded).toEqual([])
})

test('what is asked of the next blobs ends with the first one that fails', async () => {
  const [absent, here] = [blobNamed('absent'), blobNamed('here')]
  const asked = Promise.withResolvers<AbortSignal>()
  upstream.when(/GET .*blobs/, ({ behave }) => void asked.promise.then(behave))
  const outcome = await fetchWith(
    {
      lease: (digests) =>
        digests.map((digest) => {
          const state = digest === here.digest ? 'present' : 'write'
          return { digest, generation: 1, state, sizeBytes: null, isNew: true, isAlone: true }
        }),
      record: () => {},
    },
    {
      source: { needed: neededBlobs(absent, here), batches: () => [[absent.digest], [here.digest]] },
      ofStored: (_digests, signal) => {
        asked.resolve(signal)
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve(new Map())))
      },
    },
  )
  upstream.mend()
  expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'not_found' } })
  expect((await asked.promise).aborted).toBe(true)
})
