import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type BlobStore, openBlobStore } from '@berth/blobs'
import { type CatalogCommands, commandsOf, type LeasedBlob } from '@berth/commands'
import { createRegistryClient, type RegistryClient } from '@berth/registry-client'
import {
  blobOf,
  imageOf,
  type MisbehavingUpstream,
  startMisbehavingUpstream,
} from '@berth/registry-client/misbehaving-upstream'
import { closeServer, createInternalClient, createInternalServer, createLogger, listen } from '@berth/service'
import { serviceKey } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { allOf, copyBlobs } from './copy-blobs.ts'
import { createFailures } from './failures.ts'
import { newProgress } from './progress.ts'

const log = createLogger({ service: 'sync', silent: true })
let upstream: MisbehavingUpstream
let client: RegistryClient
let blobs: BlobStore
let folder: string

beforeAll(async () => {
  upstream = await startMisbehavingUpstream()
  upstream.add('team/app', 'v1', imageOf('something', 1_000))
  client = createRegistryClient({ url: upstream.url, allowPrivateAddresses: true, retries: 0 })
  folder = await mkdtemp(join(tmpdir(), 'berth-copy-'))
  blobs = await openBlobStore({ blobsDirectory: folder })
})
afterAll(async () => {
  await client?.close()
  await upstream?.close()
  await blobs?.close()
  await rm(folder, { recursive: true })
})

/** Copies a blob that lies in the store and that upstream lacks, with a catalog that gives these leases in turn. */
async function copyStored(leases: Pick<LeasedBlob, 'isNew' | 'isAlone'>[]) {
  const { digest, bytes } = blobOf(Buffer.from(`left behind ${randomUUID()}`))
  const generation = 1
  await blobs.write({ digest, generation }, Readable.from([bytes]))
  const recorded: unknown[] = []
  const catalog = createInternalServer({
    service: 'catalog',
    serviceKey,
    log,
    commands: {
      'lease-blobs': async () => ({
        blobs: [{ digest, generation, state: 'write', sizeBytes: null, ...leases.shift() }],
      }),
      'record-blobs': async (request: { blobs: unknown[] }) => {
        recorded.push(...request.blobs)
        return {}
      },
    },
  })
  const { server, port } = await listen(catalog, { port: 0, host: '127.0.0.1' })
  const internal = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'sync',
    to: 'catalog',
    serviceKey,
  })
  const nothing = async () => new Map()
  try {
    const copying = {
      remote: { client, repository: 'team/app', host: new URL(upstream.url).host },
      catalog: commandsOf<CatalogCommands>(internal),
      blobs,
      stage: randomUUID(),
      fence: 1,
      holder: 'sync:1',
      concurrency: 1,
      platforms: [],
      indexes: new Map(),
      proofs: { ofStored: nothing, ofRemote: nothing, given: async () => undefined },
      includeForeignLayers: false,
      failures: createFailures('fail'),
      isPlan: false,
      fetched: { count: 0 },
      progress: newProgress(),
      signal: new AbortController().signal,
    }
    const needed = new Map([[digest, { digest, sizeBytes: bytes.length, isLayer: true }]])
    const [outcome] = await Promise.allSettled([copyBlobs(copying, allOf(needed))])
    return { outcome, recorded, stored: { digest, generation, sizeBytes: bytes.length } }
  } finally {
    await internal.close()
    await closeServer(server, 0)
  }
}

const own = { isNew: false, isAlone: true }
const shared = { isNew: false, isAlone: false }

test('what a killed run left in the store is taken up by the same run', async () => {
  const { outcome, recorded, stored } = await copyStored([own, own])
  expect(outcome).toMatchObject({ status: 'fulfilled', value: { fetched: 0, savedBytes: stored.sizeBytes } })
  expect(recorded).toEqual([stored])
})

test.each([
  ['before it leased them', [shared, shared]],
  ['after it leased them', [own, shared]],
])('bytes that somebody else may have brought, %s, are no proof that upstream has them', async (_when, leases) => {
  const { outcome, recorded } = await copyStored(leases)
  expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'not_found' } })
  expect(recorded).toEqual([])
})
