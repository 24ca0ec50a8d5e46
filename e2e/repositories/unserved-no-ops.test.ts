import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Client } from 'pg'
import { pushBlob, pushManifest, pushRandomImage, type Target } from '../berth/push.ts'
import { basic, getManifest, localRemote, make, repositoryPath, sha256, startSync, sync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const imageType = 'application/vnd.oci.image.manifest.v1+json'
const emptyType = 'application/vnd.oci.empty.v1+json'
const source = 'source/app'
const target = 'target/app'
// Long enough for a success that is told too early to be seen.
const tooEarlyMs = 1_500
let database: Client
afterAll(() => database?.end())
const stack = withBerth({ own: true })
let digest: string
let referrers: number

beforeAll(async () => {
  const berth: Target = { url: stack.url, authorization: basic(stack) }
  for (const name of [source, target]) {
    await make(stack, '/repositories', { name })
    await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  }
  const image = await pushRandomImage(berth, source, 'v1')
  digest = image.digest
  referrers = await pushReferrers(berth, image)
  database = new Client({ connectionString: stack.databaseUrl })
  await database.connect()
}, 90_000)

async function pushReferrers(berth: Target, image: { digest: string; text: string }): Promise<number> {
  const config = { mediaType: emptyType, ...(await pushBlob(berth, source, Buffer.from('{}'))) }
  const subject = { mediaType: imageType, digest: image.digest, size: image.text.length }
  for (const artifactType of ['application/vnd.example.a', 'application/vnd.example.b']) {
    const text = JSON.stringify({ schemaVersion: 2, mediaType: imageType, artifactType, config, layers: [], subject })
    await pushManifest(berth, source, sha256(text), text, imageType)
  }
  return 2
}

/** Keeps registry from following a repository until the function that it answers is called. */
async function holdBack(repository: string): Promise<() => Promise<void>> {
  const { id } = (await stack.api('GET', repositoryPath(repository))).body
  await database.query('begin')
  await database.query('select from registry.served_repository where id = $1 for update', [id])
  return async () => void (await database.query('commit'))
}

test('a sync that finds nothing to do completes only when what is there is served', async () => {
  await make(stack, '/remotes', localRemote('itself', stack.url, source))
  await sync(stack, target, 'itself')
  expect((await stack.api('DELETE', `${repositoryPath(target)}/tags/v1`)).status).toBe(204)
  const letGo = await holdBack(target)
  const tagging = stack.api('PUT', `${repositoryPath(target)}/tags/v1`, { digest })
  const { id } = await startSync(stack, target, 'itself')
  const ending = stack.waitForTask(id)
  expect(await Promise.race([ending, pause(tooEarlyMs, 'not yet')])).toBe('not yet')
  await letGo()
  expect(await ending).toMatchObject({ state: 'completed' })
  expect((await getManifest(`${stack.url}/v2/${target}/manifests/v1`)).digest).toBe(digest)
  expect((await tagging).status).toBeLessThan(300)
}, 30_000)

test('what another pull has brought is told of only when it is served', async () => {
  await make(stack, '/remotes', { ...localRemote('host', stack.url, ''), upstreamName: null })
  const pullThrough = { remote: 'host', trigger: 'anonymous' }
  await make(stack, '/distributions', { name: 'hub', basePath: 'hub', access: 'public', pullThrough })
  const name = `hub/${source}`
  expect((await getManifest(`${stack.url}/v2/${name}/manifests/v1`)).status).toBe(200)
  const letGo = await holdBack(name)
  const list = () => fetch(`${stack.url}/v2/${name}/referrers/${digest}`)
  // Brings them, and gives up the wait for registry after ten seconds.
  expect((await list()).status).toBe(503)
  const listing = list()
  expect(await Promise.race([listing, pause(tooEarlyMs, 'not yet')])).toBe('not yet')
  await letGo()
  const answer = await listing
  expect(answer.status).toBe(200)
  expect(((await answer.json()) as { manifests: unknown[] }).manifests.length).toBe(referrers)
}, 60_000)
