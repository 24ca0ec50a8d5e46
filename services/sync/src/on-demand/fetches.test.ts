import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBlobStore } from '@berth/blobs'
import { type CatalogCommands, commandsOf } from '@berth/commands'
import {
  cut,
  hangAfter,
  imageOf,
  type MisbehavingUpstream,
  startMisbehavingUpstream,
  wrongBytes,
} from '@berth/registry-client/misbehaving-upstream'
import { applyMigrations, createInternalClient, createLogger, createSealer, openDatabase } from '@berth/service'
import { makeDatabase, privateKeyOf, until } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { openPrisma } from '../db/client.ts'
import { schemaParts } from '../db/schema-parts.ts'
import { recordSources } from '../fetch/sources.ts'
import { keepClients } from '../remotes/kept-clients.ts'
import { createClaims } from './claims.ts'
import { createFetches, type Fetched, type Fetches } from './fetches.ts'

const log = createLogger({ service: 'sync', silent: true })
const stops: (() => Promise<unknown>)[] = []
let upstream: MisbehavingUpstream
let fetches: Fetches
let db: ReturnType<typeof openDatabase>
let remoteId = ''
beforeAll(async () => {
  upstream = await startMisbehavingUpstream()
  const database = await makeDatabase()
  await applyMigrations({
    url: database.url,
    schema: 'sync',
    parts: schemaParts,
  })
  db = openDatabase({ url: database.url, schema: 'sync' })
  const folder = await mkdtemp(join(tmpdir(), 'berth-fetches-'))
  const blobs = await openBlobStore({ blobsDirectory: folder })
  const remotes = keepClients(createSealer(randomBytes(32).toString('base64')))
  // What is streamed concerns nobody else.
  const nobody = createInternalClient({
    baseUrl: 'http://127.0.0.1:1',
    from: 'sync',
    to: 'catalog',
    privateKey: privateKeyOf('sync'),
  })
  const prisma = openPrisma(db)
  fetches = createFetches({
    db,
    prisma,
    catalog: commandsOf<CatalogCommands>(nobody),
    blobs,
    remotes,
    claims: createClaims(db, log, undefined),
    spoolDirectory: join(folder, 'spool'),
    log,
    lingerMs: 1_000,
  })
  const [remote] = await db.query<{ id: string }>(
    `insert into remote (name, url, upstream_name, policy, include_tags, exclude_tags, created_by, allow_private_addresses, retries)
     values ('streamed', $1, 'team/app', 'streamed', '{}', '{}', 'ana', true, 0) returning id`,
    [upstream.url],
  )
  remoteId = remote?.id ?? ''
  stops.push(
    () => fetches.stop(),
    () => remotes.close(),
    () => nobody.close(),
    () => db.close(),
    () => blobs.close(),
    () => database.drop(),
    () => rm(folder, { recursive: true }),
    () => upstream.close(),
  )
}, 60_000)
afterAll(async () => {
  for (const stop of stops) await stop()
})

let count = 0
async function layerAt(sizeBytes: number) {
  const image = imageOf(`layer ${++count}`, sizeBytes)
  upstream.add('team/app', `v${count}`, image)
  const digest = image.layers[0]?.digest ?? ('' as never)
  await recordSources(db, { remoteId, repository: 'team/app' }, [digest])
  return { digest, sizeBytes }
}
async function read(fetched: Fetched, sizeBytes: number): Promise<number> {
  if (fetched.kind !== 'coming') throw new Error(`it is ${fetched.kind}`)
  let bytes = 0
  for await (const chunk of fetched.read({ start: 0, end: sizeBytes - 1 }, new AbortController().signal))
    bytes += chunk.length
  return bytes
}
const isClaimed = async (digest: string) =>
  (await db.query('select from fetch_claim where digest = $1', [digest])).length > 0

test('who joined a fetch gets all of it, also when he begins to read after it is over', async () => {
  const wanted = await layerAt(300_000)
  const [prompt, late] = [fetches.join(wanted), fetches.join(wanted)]
  expect(await read(await prompt.fetched, wanted.sizeBytes)).toBe(wanted.sizeBytes)
  prompt.leave()
  await until(async () => !(await isClaimed(wanted.digest)))
  expect(await read(await late.fetched, wanted.sizeBytes)).toBe(wanted.sizeBytes)
  late.leave()
})

test('a fetch that nobody waits for any more ends by itself, and the next one begins anew', async () => {
  const wanted = await layerAt(300_000)
  upstream.when(new RegExp(wanted.digest), hangAfter(100_000), 1)
  const givenUp = fetches.join(wanted)
  expect((await givenUp.fetched).kind).toBe('coming')
  givenUp.leave()
  await until(async () => !(await isClaimed(wanted.digest)))
  const again = fetches.join(wanted)
  expect(await read(await again.fetched, wanted.sizeBytes)).toBe(wanted.sizeBytes)
  again.leave()
}, 30_000)

test('who asks while a fetch that was given up is still ending gets all of it from a new one', async () => {
  const wanted = await layerAt(300_000)
  upstream.when(new RegExp(wanted.digest), hangAfter(100_000), 1)
  const givenUp = fetches.join(wanted)
  let again: ReturnType<Fetches['join']> | undefined
  const cutOff = read(await givenUp.fetched, wanted.sizeBytes).catch((error: unknown) => error)
  await db.transaction(async (sql) => {
    // Its claim cannot be given back while this holds it, so it does not come to its end.
    await sql.query('select from fetch_claim where digest = $1 for update', [wanted.digest])
    givenUp.leave()
    expect(await cutOff).toMatchObject({ name: 'AbortError' })
    again = fetches.join(wanted)
  })
  if (!again) throw new Error('nothing was asked for')
  expect(await read(await again.fetched, wanted.sizeBytes)).toBe(wanted.sizeBytes)
  again.leave()
}, 30_000)

/** A layer that another remote has too, which is asked second. */
async function layerAtBoth(sizeBytes: number, second: string) {
  const image = imageOf(`layer ${count + 1}`, sizeBytes)
  upstream.add(second, 'latest', image)
  const wanted = await layerAt(sizeBytes)
  const [remote] = await db.query<{ id: string }>(
    `insert into remote (name, url, upstream_name, policy, include_tags, exclude_tags, created_by, allow_private_addresses, retries)
     values ($1, $2, $1, 'streamed', '{}', '{}', 'ana', true, 0) returning id`,
    [second, upstream.url],
  )
  await recordSources(db, { remoteId: remote?.id ?? '', repository: second }, [wanted.digest])
  await db.query(`update content_source set seen_at = now() - interval '1 hour' where remote_id = $1`, [remote?.id])
  return wanted
}
const askedFor = (digest: string) => upstream.seen.filter(({ path }) => path.endsWith(digest)).map(({ path }) => path)

test('where one remote always breaks off and the other one goes on wrongly, each is asked alone, and that is the end', async () => {
  const wanted = await layerAtBoth(2_000_000, 'team/liar')
  upstream.when(/team\/app\/blobs/, cut(1_000_000))
  upstream.when(/team\/liar\/blobs/, wrongBytes)
  const joined = fetches.join(wanted)
  await joined.fetched
  await until(async () => !(await isClaimed(wanted.digest)))
  joined.leave()
  upstream.mend()
  expect(askedFor(wanted.digest)).toHaveLength(4)
}, 30_000)

test('where one remote gives wrong bytes and breaks off, whoever comes then gets the whole from the other one', async () => {
  const wanted = await layerAtBoth(2_000_000, 'team/honest')
  upstream.when(/team\/app\/blobs/, ({ response, answer }) => {
    response.writeHead(answer.status, answer.headers)
    response.write(Buffer.alloc(1_000_000, 'x'), () => response.socket?.destroy())
  })
  const [cutOff, prompt] = [fetches.join(wanted), fetches.join(wanted)]
  await expect(cutOff.fetched.then((fetched) => read(fetched, wanted.sizeBytes))).rejects.toThrow('wrong bytes')
  expect(await read(await prompt.fetched, wanted.sizeBytes)).toBe(wanted.sizeBytes)
  cutOff.leave()
  prompt.leave()
  upstream.mend()
}, 30_000)

test('a replica that was killed takes over its own claims when it is back, and asks not itself', async () => {
  const { digest } = await layerAt(1_000)
  const [before, after] = ['http://sync-0:9103', 'http://sync-0:9103'].map((url) => createClaims(db, log, url))
  const other = createClaims(db, log, 'http://sync-1:9103')
  const lost = await before?.claim(digest)
  expect(await other.claim(digest)).toMatchObject({ isOurs: false, address: 'http://sync-0:9103' })
  const claim = await after?.claim(digest)
  expect(claim).toMatchObject({ isOurs: true })
  // What the killed one would do does not take the claim away.
  if (lost?.isOurs) await lost.release()
  expect(await isClaimed(digest)).toBe(true)
  if (claim?.isOurs) await claim.release()
})
