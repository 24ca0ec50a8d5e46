import {
  blobOf,
  type Image,
  imageOf,
  type Manifest,
  type MisbehavingUpstream,
  manifestOf,
  startMisbehavingUpstream,
} from '@berth/registry-client/misbehaving-upstream'
import { describe, expect, test } from '@jest/globals'
import type { TaskView } from '../berth/berth.ts'
import { basic, getManifest, localRemote, make, repositoryPath, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

let count = 0
const stack = withBerth()
const upstream = withUpstream()

const sharedBytes = 200_000
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** A remote of an upstream repository, and a repository here with a distribution. */
async function target(
  from: MisbehavingUpstream,
  upstreamName: string,
  more: { access?: 'public' | 'private'; remote?: object } = {},
): Promise<string> {
  const name = `possession/t${++count}`
  await make(stack, '/remotes', localRemote(name, from.url, upstreamName, { retries: 0, ...more.remote }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: more.access ?? 'public' })
  return name
}

async function run(name: string, more: object = {}): Promise<TaskView> {
  const { status, body } = await stack.api('POST', '/syncs', { repository: name, remote: name, ...more })
  expect({ status, body }).toMatchObject({ status: 202 })
  return stack.waitForTask(body.id)
}

/** Has an image come into a repository that strangers may not pull from. */
async function keepPrivately(image: Image, remote: object = {}): Promise<string> {
  const own = `keeper/r${++count}`
  upstream.add(own, 'v1', image)
  const name = await target(upstream, own, { access: 'private', remote })
  await sync(stack, name, name)
  return name
}

/** An image whose layers are other images' layers: they are named, and not had. */
function naming(image: Image, name: string): Image {
  const { config } = imageOf(name)
  const layers = image.layers.map(({ digest, bytes }) => ({ mediaType: layerType, digest, size: bytes.length }))
  const about = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest }
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const body = { schemaVersion: 2, mediaType, config: { ...about, size: config.bytes.length }, layers }
  return { manifest: manifestOf(body), config, layers: [] }
}

/** An upstream that says it has whatever it is asked about, and gives only what it has. */
async function withThief(work: (thief: MisbehavingUpstream) => Promise<void>, images: readonly Image[]): Promise<void> {
  const thief = await startMisbehavingUpstream()
  const sizes = new Map(images.flatMap((image) => [...image.layers, image.manifest]).map((one) => [one.digest, one]))
  thief.when(/HEAD /, ({ request, response, behave }) => {
    const named = sizes.get((request.url?.split('/').at(-1) ?? '') as Manifest['digest'])
    if (!named) return behave()
    const type = (named as Manifest).mediaType ?? 'application/octet-stream'
    const headers = { 'content-type': type, 'docker-content-digest': named.digest }
    response.writeHead(200, { ...headers, 'content-length': String(named.bytes.length) }).end()
  })
  try {
    await work(thief)
  } finally {
    await thief.close()
  }
}

async function readable(name: string, digests: readonly string[], kind: 'blobs' | 'manifests' = 'blobs') {
  const headers = { authorization: basic(stack) }
  return Promise.all(
    digests.map(async (digest) => (await fetch(`${stack.url}/v2/${name}/${kind}/${digest}`, { headers })).status),
  )
}
const askedOf = (from: MisbehavingUpstream, repository: string, what: RegExp) =>
  from.seen.filter(({ method, path }) => path.includes(`/${repository}/`) && what.test(`${method} ${path}`))

describe('a sync gives nothing that its upstream only names', () => {
  test.each(['immediate', 'on_demand'])(
    'no layer of a private repository (%s)',
    async (policy) => {
      const secret = imageOf(`secret layers ${policy}`, 20_000)
      await keepPrivately(secret)
      await withThief(
        async (thief) => {
          thief.add('thief/app', 'v1', naming(secret, `loot ${policy}`))
          const name = await target(thief, 'thief/app', { remote: { policy } })
          // Again, too: what one run was told is nothing to the next.
          for (let attempt = 0; attempt < 2; attempt++) {
            const task = await run(name)
            expect([task.state, task.error?.code, task.error?.message]).toEqual([
              'failed',
              'upstream_not_found',
              expect.stringContaining(secret.layers[0]?.digest ?? '?'),
            ])
          }
          const skipped = await run(name, { onError: 'skip' })
          expect([skipped.state, skipped.error?.code]).toEqual(['failed', 'upstream_not_found'])
          expect(await readable(name, [secret.layers[0]?.digest ?? ''])).toEqual([404])
          expect((await stack.api('GET', repositoryPath(name))).body.latestVersion).toBe(0)
        },
        [secret],
      )
    },
    60_000,
  )

  test('and says so of the same thing in the same words whether somebody here has it or not', async () => {
    const secret = imageOf('secret or not', 20_000)
    const unknown = imageOf('nobody has this', 20_000)
    await keepPrivately(secret)
    await withThief(
      async (thief) => {
        const messages = []
        for (const image of [secret, unknown]) {
          thief.add(`thief/${image === secret ? 'known' : 'other'}`, 'v1', naming(image, 'oracle'))
          const name = await target(thief, `thief/${image === secret ? 'known' : 'other'}`)
          const { error } = await run(name)
          messages.push(
            error?.message.replace(image.layers[0]?.digest ?? '', 'DIGEST').replace(/thief\/\w+/g, 'REPOSITORY'),
          )
        }
        expect(messages[0]).toBe(messages[1])
      },
      [secret, unknown],
    )
  }, 60_000)

  test('no manifest of a private repository, neither by a tag nor in an index', async () => {
    const secret = imageOf('secret manifest', 2_000)
    await keepPrivately(secret)
    const { mediaType, digest, bytes } = secret.manifest
    const index = manifestOf({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ mediaType, digest, size: bytes.length }],
    } as { mediaType: string })
    await withThief(
      async (thief) => {
        thief.addManifest('thief/index', index, 'v1')
        thief.add('thief/tag', 'v1', imageOf('something'))
        thief.when(/HEAD .*\/thief\/tag\/manifests\/v1$/, ({ response }) => {
          const headers = { 'content-type': mediaType, 'docker-content-digest': digest }
          response.writeHead(200, { ...headers, 'content-length': String(bytes.length) }).end()
        })
        for (const repository of ['thief/index', 'thief/tag']) {
          const name = await target(thief, repository)
          expect(await run(name)).toMatchObject({ state: 'failed', error: { code: 'upstream_not_found' } })
          expect(await readable(name, [digest], 'manifests')).toEqual([404])
        }
      },
      [secret],
    )
  }, 60_000)

  test('no layer that lies at a private remote, and would be fetched from there when it is pulled', async () => {
    const secret = imageOf('secret elsewhere', 20_000)
    await keepPrivately(secret, { policy: 'on_demand' })
    await withThief(
      async (thief) => {
        thief.add('thief/far', 'v1', naming(secret, 'loot far'))
        const name = await target(thief, 'thief/far', { remote: { policy: 'on_demand' } })
        for (let attempt = 0; attempt < 2; attempt++)
          expect(await run(name)).toMatchObject({ state: 'failed', error: { code: 'upstream_not_found' } })
        expect(await readable(name, [secret.layers[0]?.digest ?? ''])).toEqual([404])
      },
      [secret],
    )
  }, 60_000)

  test('nor does a pull through it', async () => {
    const secret = imageOf('secret through', 20_000)
    await keepPrivately(secret)
    await withThief(
      async (thief) => {
        thief.add('thief/hub', 'v1', naming(secret, 'loot hub'))
        const base = `thiefhub${++count}`
        await make(stack, '/remotes', { ...localRemote(base, thief.url, '', { retries: 0 }), upstreamName: null })
        const pullThrough = { remote: base, trigger: 'anonymous' }
        await make(stack, '/distributions', { name: base, basePath: base, access: 'public', pullThrough })
        const answer = await getManifest(`${stack.url}/v2/${base}/thief/hub/manifests/v1`)
        expect([answer.status, answer.text]).toEqual([503, expect.stringContaining('which is not there')])
        expect(await readable(`${base}/thief/hub`, [secret.layers[0]?.digest ?? ''])).toEqual([404])
      },
      [secret],
    )
  }, 60_000)

  test('a remote that is given another address has to show everything again', async () => {
    const secret = imageOf('secret of the first', 20_000)
    const keeper = await keepPrivately(secret)
    await withThief(
      async (thief) => {
        const { body: remote } = await stack.api('GET', `/remotes/${encodeURIComponent(keeper)}`)
        thief.add(remote.upstreamName, 'v1', naming(secret, 'loot moved'))
        expect((await stack.api('PATCH', `/remotes/${encodeURIComponent(keeper)}`, { url: thief.url })).status).toBe(
          200,
        )
        const open = `possession/t${++count}`
        await make(stack, '/repositories', { name: open })
        const { body } = await stack.api('POST', '/syncs', { repository: open, remote: keeper })
        expect(await stack.waitForTask(body.id)).toMatchObject({
          state: 'failed',
          error: { code: 'upstream_not_found' },
        })
      },
      [secret],
    )
  }, 60_000)
})

describe('layers that are here already', () => {
  /** Two images upstream over one base, in repositories of their own. */
  function pair(first: MisbehavingUpstream, second: MisbehavingUpstream): { names: [string, string]; shared: Image } {
    const shared = imageOf(`base ${++count}`, sharedBytes)
    const names: [string, string] = [`pair/a${count}`, `pair/b${count}`]
    first.add(names[0], 'v1', shared)
    const top = naming(shared, `top ${count}`)
    second.add(names[1], 'v1', { ...top, layers: shared.layers })
    return { names, shared }
  }

  test('cost a HEAD each when another repository of the same upstream gave them, and nothing the next time', async () => {
    const { names, shared } = pair(upstream, upstream)
    const one = await target(upstream, names[0], { access: 'private' })
    const other = await target(upstream, names[1], { access: 'private' })
    await sync(stack, one, one)
    // What no repository had was not asked about.
    expect(askedOf(upstream, names[0], /HEAD .*\/blobs\//)).toEqual([])
    const plan = await run(other, { dryRun: true })
    const before = upstream.seen.length
    const { result } = await sync(stack, other, other)
    expect(result.bytesSaved).toBe(sharedBytes)
    expect(result.bytesFetched).toBeLessThan(1_000)
    expect(plan.result).toMatchObject({ bytesSaved: sharedBytes, bytesToFetch: result.bytesFetched, blobs: 1 })
    expect(upstream.seen.length - before).toBe(plan.result.requests)
    const layer = new RegExp(`/blobs/${shared.layers[0]?.digest}`)
    expect(askedOf(upstream, names[1], layer).map(({ method }) => method)).toEqual(['HEAD'])
    const third = await target(upstream, names[1], { access: 'private' })
    expect((await sync(stack, third, third)).result).toMatchObject({ bytesFetched: 0 })
    expect(askedOf(upstream, names[1], layer)).toHaveLength(1)
  }, 60_000)

  test('cost nothing when anybody may pull them here, whatever their upstream', async () => {
    const elsewhere = await startMisbehavingUpstream()
    try {
      const { names, shared } = pair(upstream, elsewhere)
      const one = await target(upstream, names[0])
      const other = await target(elsewhere, names[1], { access: 'private' })
      await sync(stack, one, one)
      const { result } = await sync(stack, other, other)
      expect(result).toMatchObject({ bytesSaved: sharedBytes })
      expect(askedOf(elsewhere, names[1], new RegExp(`/blobs/${shared.layers[0]?.digest}`))).toEqual([])
    } finally {
      await elsewhere.close()
    }
  }, 60_000)

  test('come once more from another upstream when they are private here, and are stored once', async () => {
    const elsewhere = await startMisbehavingUpstream()
    try {
      const { names, shared } = pair(upstream, elsewhere)
      const one = await target(upstream, names[0], { access: 'private' })
      const other = await target(elsewhere, names[1], { access: 'private' })
      await sync(stack, one, one)
      const objects = (await stack.api('GET', '/store')).body
      const plan = await run(other, { dryRun: true })
      const { result } = await sync(stack, other, other)
      expect(result.bytesFetched).toBeGreaterThan(sharedBytes)
      expect(plan.result).toMatchObject({ bytesToFetch: result.bytesFetched, bytesSaved: 0, blobs: 2 })
      const layer = new RegExp(`GET .*/blobs/${shared.layers[0]?.digest}`)
      expect(askedOf(elsewhere, names[1], layer)).toHaveLength(1)
      const after = (await stack.api('GET', '/store')).body
      expect(after.uniqueBytes - objects.uniqueBytes).toBeLessThan(5_000)
      expect(await readable(other, [shared.layers[0]?.digest ?? ''])).toEqual([200])
    } finally {
      await elsewhere.close()
    }
  }, 60_000)

  test('that differ from what upstream gives under their digest are refused', async () => {
    const secret = imageOf('nearly known', 20_000)
    await keepPrivately(secret)
    await withThief(
      async (thief) => {
        const guess = {
          ...blobOf(Buffer.alloc(20_000, 'guess')),
          digest: secret.layers[0]?.digest ?? blobOf(Buffer.alloc(0)).digest,
        }
        thief.add('thief/guess', 'v1', { ...naming(secret, 'loot guess'), layers: [guess] })
        const name = await target(thief, 'thief/guess')
        expect(await run(name)).toMatchObject({ state: 'failed', error: { code: 'upstream_bad_digest' } })
      },
      [secret],
    )
  }, 60_000)
})
