import {
  cut,
  type Fault,
  gone,
  hang,
  hangAfter,
  imageOf,
  manifestOf,
  oversized,
  short,
  status,
  wrongBytes,
} from '@berth/registry-client/misbehaving-upstream'
import { describe, expect, test } from '@jest/globals'
import { localRemote, make, startSync, sync, versionNumbers } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

let count = 0
const stack = withBerth()
const upstream = withUpstream()

/** A repository upstream with an image that was never fetched, a remote of it, and a repository of ours. */
async function makeMirror(more: object = {}): Promise<string> {
  const name = `faults/${++count}`
  upstream.add(name, 'latest', imageOf(`${name} image`, 50_000, 60_000))
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, ...more }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  return name
}
const emptyDescriptor = { mediaType: 'application/vnd.oci.empty.v1+json', digest: `sha256:${'0'.repeat(64)}`, size: 2 }
const emptyImage = { schemaVersion: 2, config: emptyDescriptor, layers: [] }
const pull = async (name: string) => (await fetch(`${stack.url}/v2/${name}/manifests/latest`)).status

describe('an upstream that does wrong', () => {
  test.each<[string, RegExp, Fault, string]>([
    ['gives other bytes for a layer', /blobs/, wrongBytes, 'upstream_bad_digest'],
    ['gives other bytes for a manifest', /GET .*manifests/, wrongBytes, 'upstream_bad_digest'],
    ['gives half of a layer', /blobs/, short, 'upstream_short_body'],
    ['breaks off in a layer', /blobs/, cut(10), 'upstream_unavailable'],
    ['wants a login', /./, status(401, { 'www-authenticate': 'Basic realm="x"' }), 'upstream_unauthorized'],
    ['denies', /./, status(403), 'upstream_denied'],
    ['has no such repository', /./, status(404), 'upstream_not_found'],
    ['is busy for an hour', /./, status(429, { 'retry-after': '3600' }), 'upstream_rate_limited'],
    ['is broken', /./, status(500), 'upstream_unavailable'],
    ['ends connections', /./, gone, 'upstream_unavailable'],
    ['sends a manifest of 50 MB', /GET .*manifests/, oversized(50 << 20), 'upstream_protocol'],
    ['sends no list of tags', /tags/, status(200, {}, '<html>'), 'upstream_protocol'],
  ])(
    'and %s: the task says what and where, nothing is visible, and once mended it succeeds',
    async (_title, fits, fault, code) => {
      const name = await makeMirror()
      upstream.when(fits, fault)
      const task = await stack.waitForTask((await startSync(stack, name, name)).id)
      upstream.mend()
      expect(task).toMatchObject({ state: 'failed', error: { code } })
      expect(task.error?.message).toContain(upstream.host)
      expect(await versionNumbers(stack, name)).toEqual([0])
      expect(await pull(name)).toBe(404)
      expect((await sync(stack, name, name)).result).toMatchObject({ version: 1, created: true })
      expect(await pull(name)).toBe(200)
    },
  )

  test.each<['remotes' | 'repositories', string, string]>([
    ['remotes', 'remote', 'remote_not_found'],
    ['repositories', 'repository', 'repository_not_found'],
  ])(
    'or stays away while one of our %s is deleted: the task says that the %s is gone, by its name',
    async (kind, what, code) => {
      const name = await makeMirror()
      const held = Promise.withResolvers<void>()
      const asked = new Promise<void>((resolve) => {
        upstream.when(/GET .*blobs/, ({ behave }) => {
          resolve()
          void held.promise.then(behave)
        })
      })
      const { id } = await startSync(stack, name, name)
      await asked
      if (kind === 'repositories') await stack.api('DELETE', `/distributions/${encodeURIComponent(name)}`)
      expect((await stack.api('DELETE', `/${kind}/${encodeURIComponent(name)}`)).status).toBe(204)
      held.resolve()
      const task = await stack.waitForTask(id)
      upstream.mend()
      expect(task).toMatchObject({ state: 'failed', error: { code } })
      expect(task.error?.message).toContain(`The ${what} "${name}" was deleted.`)
    },
  )

  test.each<[string, object]>([
    ['a type that no database keeps', { schemaVersion: 2, mediaType: 'a\u0000b' }],
    ['a type of half a megabyte', { schemaVersion: 2, mediaType: 'a'.repeat(500_000) }],
    ['a version of half a megabyte', { schemaVersion: 'a'.repeat(500_000) }],
    ['a key of half a megabyte', { ...emptyImage, annotations: { ['a'.repeat(500_000)]: 1 } }],
  ])(
    'and gives a manifest with %s: the task says so in a few words',
    async (_title, body) => {
      const name = await makeMirror()
      const manifest = { ...manifestOf(body as never), mediaType: 'application/vnd.oci.image.manifest.v1+json' }
      upstream.addManifest(name, manifest, 'odd')
      const task = await stack.waitForTask((await startSync(stack, name, name)).id)
      expect(task).toMatchObject({ state: 'failed', error: { code: 'upstream_protocol' } })
      expect(task.error?.message).toContain(manifest.digest)
      expect(task.error?.message.length).toBeLessThan(1_000)
    },
    30_000,
  )

  test('a tag that was asked for by name and is not there fails the task, which names it', async () => {
    const name = await makeMirror({ includeTags: ['latest', 'absent'] })
    const task = await stack.waitForTask((await startSync(stack, name, name)).id)
    expect(task).toMatchObject({ state: 'failed', error: { code: 'upstream_not_found' } })
    expect(task.error?.message).toContain('"absent"')
    expect(await versionNumbers(stack, name)).toEqual([0])
  })

  test('and has indexes that lie in each other without end: those down to the sixteenth come, and no others', async () => {
    const mediaType = 'application/vnd.oci.image.index.v1+json'
    for (const [levels, state] of [
      [16, 'completed'],
      [17, 'failed'],
    ] as const) {
      const name = `faults/nested-${levels}`
      const image = imageOf(name, 1_000)
      upstream.add(name, [], image)
      let below = image.manifest
      for (let level = 1; level <= levels; level++) {
        const child = { mediaType: below.mediaType, digest: below.digest, size: below.bytes.length }
        below = manifestOf({ schemaVersion: 2, mediaType, manifests: [child] } as { mediaType: string })
        upstream.addManifest(name, below, level === levels ? 'latest' : undefined)
      }
      await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0 }))
      await make(stack, '/repositories', { name })
      const task = await stack.waitForTask((await startSync(stack, name, name)).id)
      expect([task.state, task.error?.code]).toEqual([state, state === 'failed' ? 'upstream_protocol' : undefined])
      if (task.error) expect(task.error.message).toContain('more than 16 deep')
    }
  }, 60_000)

  test('and hangs, before it answers or in the middle: the task fails when its patience ends', async () => {
    const timeouts = { headersSeconds: 2, idleSeconds: 2 }
    const [silent, stuck] = [await makeMirror({ timeouts }), await makeMirror({ timeouts })]
    upstream.when(new RegExp(`${silent}/tags`), hang)
    upstream.when(new RegExp(`${stuck}/blobs`), hangAfter(10))
    const started = [await startSync(stack, silent, silent), await startSync(stack, stuck, stuck)]
    const tasks = await Promise.all(started.map(({ id }) => stack.waitForTask(id, 90_000)))
    upstream.mend()
    for (const task of tasks) expect(task).toMatchObject({ state: 'failed', error: { code: 'upstream_timeout' } })
    for (const name of [silent, stuck]) {
      expect(await versionNumbers(stack, name)).toEqual([0])
      expect((await sync(stack, name, name)).result).toMatchObject({ version: 1 })
    }
  }, 120_000)

  test('and hangs: a cancel ends the task within seconds', async () => {
    const name = await makeMirror()
    upstream.when(/blobs/, hangAfter(10))
    const { id } = await startSync(stack, name, name)
    const startedAt = performance.now()
    await stack.api('POST', `/tasks/${id}/cancel`)
    const task = await stack.waitForTask(id)
    upstream.mend()
    expect(task.state).toBe('cancelled')
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    expect(await versionNumbers(stack, name)).toEqual([0])
  })

  test('and does not listen: the task says so at once, and does not take it for a server of ours that is away', async () => {
    const name = await makeMirror()
    await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { url: 'http://127.0.0.1:1' })
    const task = await stack.waitForTask((await startSync(stack, name, name)).id, 10_000)
    expect(task).toMatchObject({ state: 'failed', error: { code: 'upstream_unavailable' } })
    expect(task.error?.message).toContain('127.0.0.1:1')
  })
})
