import { mediaTypes } from '@berth/oci'
import { blobOf, byLast, gone, imageOf, manifestOf, status, typed } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { localRemote, make } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth()
const upstream = withUpstream()
let count = 0

async function makeScene(more: (name: string) => object = () => ({})) {
  const name = `open/${++count}`
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, ...more(name) }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  return name
}
async function run(name: string, more: object = {}) {
  const { status: answered, body } = await stack.api('POST', '/syncs', { repository: name, remote: name, ...more })
  expect({ answered, body }).toMatchObject({ answered: 202 })
  const task = await stack.waitForTask(body.id)
  upstream.mend()
  return task
}
const tagsOf = async (name: string) =>
  ((await (await fetch(`${stack.url}/v2/${name}/tags/list`)).json()) as { tags: string[] }).tags

test('a list whose end cannot be proven removes nothing in a mirror, adds what is new, and is told of', async () => {
  const name = await makeScene()
  upstream.add(name, ['a', 'b', 'c', 'd'], imageOf(name, 100))
  await run(name, { mode: 'mirror' })
  upstream.add(name, 'aa', imageOf(`${name} new`, 100))
  for (const isPlan of [true, false]) {
    upstream.when(new RegExp(`${name}/tags`), byLast('tags', 3))
    upstream.when(/last=/, status(502))
    const { state, result } = await run(name, { mode: 'mirror', dryRun: isPlan, force: true })
    expect({ state, result }).toMatchObject({
      state: 'completed',
      result: { listComplete: false, tags: { added: ['aa'], removed: [] } },
    })
  }
  expect(await tagsOf(name)).toEqual(['a', 'aa', 'b', 'c', 'd'])
  upstream.when(new RegExp(`${name}/tags`), status(200, {}, JSON.stringify({ tags: ['a', 'b', 'c'] })))
  expect(await run(name, { mode: 'mirror' })).toMatchObject({
    result: { listComplete: true, tags: { removed: ['aa', 'd'] } },
  })
})

test('the catalog of a group may end early too, and that is told', async () => {
  const prefix = `group-${++count}`
  for (const one of ['a', 'b', 'c']) upstream.add(`${prefix}/${one}`, 'v1', imageOf(`${prefix} ${one}`, 100))
  const { upstreamName: _one, ...remote } = localRemote(prefix, upstream.url, '', { retries: 0 }) as {
    upstreamName: string
  }
  await make(stack, '/remotes', { ...remote, upstreamNames: [`${prefix}/*`], targetPrefix: 'copy' })
  const sync = async () => {
    const { body } = await stack.api('POST', '/syncs', { remote: prefix })
    const task = await stack.waitForTask(body.id)
    upstream.mend()
    return task
  }
  upstream.when(/_catalog/, byLast('repositories', 2))
  expect(await sync()).toMatchObject({ result: { listComplete: true, completed: 3 } })
  upstream.when(/_catalog/, byLast('repositories', 2))
  upstream.when(/last=/, status(500))
  expect(await sync()).toMatchObject({ state: 'completed', result: { listComplete: false } })
})

test('a tag that upstream lists and does not give is a failure with its name; one that a second list lacks is gone', async () => {
  const name = await makeScene()
  upstream.add(name, ['good', 'kept'], imageOf(name, 100))
  await run(name, { mode: 'mirror' })
  const listOf = (...tags: string[]) => status(200, {}, JSON.stringify({ tags }))
  upstream.when(new RegExp(`${name}/manifests/kept`), status(404))
  expect(await run(name, { mode: 'mirror' })).toMatchObject({
    state: 'failed',
    error: { code: 'upstream_not_found', message: expect.stringContaining('"kept"') },
  })
  upstream.when(new RegExp(`${name}/manifests/kept`), status(404))
  expect(await run(name, { mode: 'mirror', onError: 'skip' })).toMatchObject({
    state: 'completed',
    result: { failures: [{ tag: 'kept', code: 'upstream_not_found' }], tags: { removed: [] } },
  })
  expect(await tagsOf(name)).toEqual(['good', 'kept'])
  upstream.when(new RegExp(`${name}/manifests/kept`), status(404))
  upstream.when(new RegExp(`${name}/tags`), listOf('good'))
  upstream.when(new RegExp(`${name}/tags`), listOf('good', 'kept'), 2)
  expect(await run(name, { mode: 'mirror' })).toMatchObject({
    state: 'completed',
    result: { failures: [], tags: { removed: ['kept'] } },
  })
})

test('what belongs to an image is not removed by a mirror that is not told what that is', async () => {
  const name = await makeScene()
  const image = imageOf(name, 100)
  const signature = imageOf(`${name} signature`, 50)
  const tag = `${image.manifest.digest.replace(':', '-')}.sig`
  upstream.add(name, ['v1', 'v2'], image)
  upstream.add(name, tag, signature)
  expect(await run(name, { mode: 'mirror' })).toMatchObject({ result: { companionsUnknown: 0 } })
  expect(await tagsOf(name)).toContain(tag)
  // Both times all is asked for: the first run asked less than a day ago, so the remote is changed.
  for (const fault of [status(403), status(500)]) {
    await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { concurrency: 3 + ++count })
    upstream.when(new RegExp(`${name}/(referrers|manifests/sha256-)`), fault)
    expect(await run(name, { mode: 'mirror', force: true })).toMatchObject({
      state: 'completed',
      result: { companionsUnknown: 1, tags: { removed: [] } },
    })
    expect(await tagsOf(name)).toContain(tag)
  }
})

test('a list whose last name is no text at all is read to its end', async () => {
  const name = await makeScene()
  upstream.add(name, 'good', imageOf(name, 100))
  upstream.when(new RegExp(`${name}/tags`), status(200, {}, '{"tags":["good","half \\ud800"]}'))
  expect(await run(name)).toMatchObject({ state: 'completed', result: { skippedNames: ['half \\ud800'] } })
})

test.each(['Application/Vnd.OCI.image.index.v1+json', 'application/json', 'text/plain; charset=utf-8'])(
  'what refers to an image comes where that is listed as %s',
  async (type) => {
    const name = await makeScene()
    const image = imageOf(name, 100)
    const empty = blobOf(Buffer.from('{}'))
    const { digest, bytes } = image.manifest
    const signature = manifestOf({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType: 'application/x-signature',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: empty.digest, size: 2 },
      layers: [],
      subject: { mediaType: mediaTypes.ociManifest, digest, size: bytes.length },
    } as { mediaType: string })
    upstream.add(name, 'v1', image)
    upstream.addBlobs(name, empty)
    upstream.addManifest(name, signature)
    upstream.when(new RegExp(`${name}/referrers/`), typed(type))
    expect(await run(name)).toMatchObject({ state: 'completed', result: { companionsUnknown: 0 } })
    expect((await fetch(`${stack.url}/v2/${name}/manifests/${signature.digest}`)).status).toBe(200)
  },
)

test('a mirror that skips what fails leaves a manifest that is wanted by digest, with what belongs to it', async () => {
  const image = imageOf(`wanted by digest ${count}`, 100)
  const { digest } = image.manifest
  const signature = `${digest.replace(':', '-')}.sig`
  const name = await makeScene(() => ({ includeTags: ['v1', digest] }))
  upstream.add(name, 'v1', imageOf(`${name} other`, 100))
  upstream.add(name, 'unwanted', image)
  upstream.add(name, signature, imageOf(`${name} signature`, 50))
  await run(name, { mode: 'mirror' })
  expect(await tagsOf(name)).toEqual([signature, 'v1'])
  await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { concurrency: 3 })
  upstream.when(new RegExp(`${name}/(referrers/${digest}|manifests/${signature})`), gone)
  const result = { failureCount: 1, tags: { removed: [] } }
  expect(await run(name, { mode: 'mirror', onError: 'skip', force: true })).toMatchObject({
    state: 'completed',
    result,
  })
  expect(await tagsOf(name)).toEqual([signature, 'v1'])
  expect((await fetch(`${stack.url}/v2/${name}/manifests/${digest}`)).status).toBe(200)
})

test('a plan of a mirror that skips what fails removes no more than the mirror does', async () => {
  const name = await makeScene(() => ({ includeTags: ['v*'] }))
  const image = imageOf(name, 100)
  const signature = `${image.manifest.digest.replace(':', '-')}.sig`
  upstream.add(name, ['v1', 'v2'], image)
  upstream.add(name, 'v3', imageOf(`${name} other`, 100))
  upstream.add(name, signature, imageOf(`${name} signature`, 50))
  await run(name, { mode: 'mirror' })
  for (const dryRun of [true, false]) {
    upstream.when(new RegExp(`${name}/manifests/v[12]`), status(500))
    const { result } = await run(name, { mode: 'mirror', onError: 'skip', dryRun })
    expect(result).toMatchObject({ failureCount: 2, tags: { removed: [] } })
  }
  expect(await tagsOf(name)).toEqual([signature, 'v1', 'v2', 'v3'])
})
