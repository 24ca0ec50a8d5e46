import {
  hang,
  type Image,
  imageOf,
  type MisbehavingUpstream,
  manifestOf,
  startMisbehavingUpstream,
  status,
} from '@berth/registry-client/misbehaving-upstream'
import { describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make, manifestTypes, sha256 } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

let count = 0
const stack = withBerth()
const upstream = withUpstream()

type Hub = { base: string; id: string; image: Image; repository: string }

/** A pull-through distribution of the upstream, and an image there that was never pulled. */
async function hub(
  pullThrough: object = {},
  more: { access?: string; remote?: object; from?: MisbehavingUpstream } = {},
): Promise<Hub> {
  const from = more.from ?? upstream
  const base = `hub${++count}`
  const repository = `team/app-${count}`
  const image = imageOf(`image ${count}`, 50_000, 60_000)
  from.add(repository, 'v1', image)
  await make(stack, '/remotes', {
    ...localRemote(base, from.url, '', { retries: 0, ...more.remote }),
    upstreamName: null,
  })
  const { id } = await make(stack, '/distributions', {
    name: base,
    basePath: base,
    access: more.access ?? 'public',
    pullThrough: { remote: base, trigger: 'anonymous', ...pullThrough },
  })
  return { base, id, image, repository }
}
async function get(path: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${stack.url}/v2/${path}`, { headers: { accept: manifestTypes, ...headers } })
  const body = Buffer.from(await answer.arrayBuffer())
  return { status: answer.status, headers: answer.headers, body, digest: sha256(body) }
}
const indexOf = (...images: Image[]) =>
  manifestOf({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: images.map(({ manifest: { mediaType, digest, bytes } }) => ({ mediaType, digest, size: bytes.length })),
  } as { mediaType: string })
const asked = (repository: string, what = '') =>
  upstream.seen
    .filter(({ path }) => path.includes(`/${repository}/${what}`))
    .map(({ method, path }) => `${method} ${path}`)

describe('a pull-through distribution', () => {
  test('serves what is pulled below it, makes the repository, and asks upstream for each thing once', async () => {
    const { base, repository, image } = await hub()
    const name = `${base}/${repository}`
    const manifest = await get(`${name}/manifests/v1`)
    expect([manifest.status, manifest.digest]).toEqual([200, image.manifest.digest])
    for (const { digest } of [image.config, ...image.layers])
      expect((await get(`${name}/blobs/${digest}`)).digest).toBe(digest)
    const before = asked(repository)
    expect((await get(`${name}/manifests/v1`)).digest).toBe(image.manifest.digest)
    expect((await get(`${name}/manifests/${image.manifest.digest}`)).status).toBe(200)
    expect(asked(repository)).toEqual(before)
    expect(before.filter((one) => one.includes('/blobs/'))).toHaveLength(3)
    const { body } = await stack.api('GET', `/repositories/${encodeURIComponent(name)}`)
    expect(body).toMatchObject({ name, latestVersion: 1, retainVersions: 1 })
    const listed = await stack.api('GET', `/distributions?q=${base}`)
    expect(listed.body.items).toMatchObject([
      { name: base, repository: null, pullThrough: { remote: base, ttlSeconds: 60, trigger: 'anonymous' } },
      { name, repository: name, via: base },
    ])
  }, 60_000)

  test('compares a tag with upstream once its time is over, and serves where it moved', async () => {
    const { base, repository, image } = await hub({ ttlSeconds: 0 })
    const name = `${base}/${repository}`
    expect((await get(`${name}/manifests/v1`)).digest).toBe(image.manifest.digest)
    const moved = imageOf(`moved ${base}`, 10_000)
    upstream.add(repository, 'v1', moved)
    expect((await get(`${name}/manifests/v1`)).digest).toBe(moved.manifest.digest)
    const heads = asked(repository).filter((one) => one.startsWith('HEAD')).length
    expect((await get(`${name}/manifests/v1`)).digest).toBe(moved.manifest.digest)
    expect(asked(repository).filter((one) => one.startsWith('HEAD'))).toHaveLength(heads + 1)
  }, 60_000)

  test.each([
    ['is down', status(500), 503],
    ['is at its limit', status(429, { 'retry-after': '3600' }), 429],
  ])(
    'serves what it has with a Warning while upstream %s',
    async (_title, fault, refusal) => {
      // One of its own: all requests to a host wait while it is at its limit.
      const troubled = await startMisbehavingUpstream()
      try {
        const { base, repository, image } = await hub({ ttlSeconds: 0 }, { from: troubled })
        const name = `${base}/${repository}`
        await get(`${name}/manifests/v1`)
        troubled.when(/./, fault)
        const stale = await get(`${name}/manifests/v1`)
        expect([stale.status, stale.digest]).toEqual([200, image.manifest.digest])
        expect(stale.headers.get('warning')).toMatch(/^111 - "127\.0\.0\.1:\d+ cannot be asked/)
        // Nor is it asked again for each pull; each is told all the same.
        const asked = troubled.seen.length
        expect((await get(`${name}/manifests/v1`)).headers.get('warning')).toMatch(/^111 /)
        expect(troubled.seen.length).toBe(asked)
        const missing = await get(`${name}/manifests/v2`)
        expect(missing.status).toBe(refusal)
        expect(missing.headers.get('retry-after')).toMatch(/^\d+$/)
      } finally {
        await troubled.close()
      }
    },
    60_000,
  )

  test('tells of an upstream that is down in one line of the log, which is no error of Berth', async () => {
    const away = await startMisbehavingUpstream()
    const { base, repository, image } = await hub({ ttlSeconds: 0 }, { from: away, remote: { policy: 'on_demand' } })
    const name = `${base}/${repository}`
    await get(`${name}/manifests/v1`)
    await away.close()
    const layer = image.layers[0]?.digest
    for (const path of [`${name}/manifests/v2`, `${name}/blobs/${layer}`]) expect((await get(path)).status).toBe(503)
    expect((await get(`${name}/manifests/v1`)).headers.get('warning')).toMatch(/^111 /)
    const linesOf = (what: string) =>
      stack
        .logs()
        .split('\n')
        .filter((line) => line.startsWith('{') && line.includes(what))
    await until('the log tells of what is served as it was', () =>
      linesOf('served as it was').some((line) => line.includes(name)),
    )
    const lines = linesOf(name).filter((line) => !line.includes('"level":"info"'))
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({
        level: 'warn',
        path: `/v2/${name}/manifests/v2`,
        status: 503,
        code: 'upstream_unavailable',
        reason: expect.stringContaining('ECONNREFUSED'),
      }),
      expect.objectContaining({ level: 'warn', path: `/v2/${name}/blobs/${layer}`, status: 503, code: 'no_source' }),
      expect.objectContaining({ level: 'warn', name, code: 'upstream_unavailable' }),
    ])
    expect(lines.join()).not.toContain('stack')
  }, 60_000)

  test('makes no pull of what is here wait more than two seconds for upstream, and the next ones not at all', async () => {
    const slow = await startMisbehavingUpstream()
    try {
      const { base, repository, image } = await hub({ ttlSeconds: 0 }, { from: slow })
      const name = `${base}/${repository}`
      await get(`${name}/manifests/v1`)
      slow.when(/./, hang)
      const begun = performance.now()
      const first = await get(`${name}/manifests/v1`)
      expect([first.digest, first.headers.get('warning')]).toEqual([
        image.manifest.digest,
        expect.stringMatching(/^110 - /),
      ])
      const next = await get(`${name}/manifests/v1`)
      expect([next.digest, next.headers.get('warning')]).toEqual([
        image.manifest.digest,
        expect.stringMatching(/^110 - /),
      ])
      expect(performance.now() - begun).toBeLessThan(4_000)
    } finally {
      await slow.close()
    }
  }, 60_000)

  test('says 404 only when upstream says so, and leaves no repository behind', async () => {
    const { base } = await hub()
    const name = `${base}/nobody/knows`
    const answer = await get(`${name}/manifests/v1`)
    expect([answer.status, JSON.parse(answer.body.toString()).errors[0].code]).toEqual([404, 'MANIFEST_UNKNOWN'])
    expect((await stack.api('GET', `/repositories/${encodeURIComponent(name)}`)).status).toBe(404)
  }, 60_000)

  test('brings an index without its members, and each of them when it is pulled', async () => {
    const { base, repository } = await hub()
    const name = `${base}/${repository}`
    const [one, other] = [imageOf(`one of ${base}`, 1_000), imageOf(`other of ${base}`, 2_000)]
    const index = indexOf(one, other)
    for (const image of [one, other]) upstream.add(repository, [], image)
    upstream.addManifest(repository, index, 'many')
    const list = await get(`${name}/manifests/many`)
    expect([list.status, list.digest]).toEqual([200, index.digest])
    expect((await get(`${name}/manifests/${one.manifest.digest}`)).digest).toBe(one.manifest.digest)
    expect((await get(`${name}/blobs/${one.layers[0]?.digest}`)).digest).toBe(one.layers[0]?.digest)
    expect(asked(repository, `manifests/${other.manifest.digest}`)).toEqual([])
  }, 60_000)

  test('fetches nothing new for who may not trigger it, and serves him what is there', async () => {
    const { base, repository, image } = await hub({ trigger: 'users' })
    const name = `${base}/${repository}`
    const stranger = await get(`${name}/manifests/v1`)
    expect([stranger.status, stranger.body.toString()]).toEqual([404, expect.stringContaining('log in')])
    expect(asked(repository)).toEqual([])
    expect((await get(`${name}/manifests/v1`, { authorization: basic(stack) })).digest).toBe(image.manifest.digest)
    expect((await get(`${name}/manifests/v1`)).digest).toBe(image.manifest.digest)
    const named = await hub({ trigger: ['somebody-else'] })
    const answer = await get(`${named.base}/${named.repository}/manifests/v1`, { authorization: basic(stack) })
    expect([answer.status, asked(named.repository)]).toEqual([404, []])
  }, 60_000)

  test('that is private shows strangers nothing, neither before the first pull nor after', async () => {
    const { base, repository, image } = await hub({}, { access: 'private' })
    const name = `${base}/${repository}`
    expect((await get(`${name}/manifests/v1`)).status).toBe(401)
    expect(asked(repository)).toEqual([])
    expect((await get(`${name}/manifests/v1`, { authorization: basic(stack) })).digest).toBe(image.manifest.digest)
    expect((await get(`${name}/manifests/v1`)).status).toBe(401)
    expect((await stack.api('PATCH', `/distributions/${base}`, { access: 'public' })).status).toBe(200)
    expect((await get(`${name}/manifests/v1`)).status).toBe(200)
  }, 60_000)

  test('changes, with its access, that of what came by it, but for what was set apart', async () => {
    const { base, repository } = await hub()
    const [open, apart] = [`${base}/${repository}`, `${base}/${repository}-apart`]
    upstream.add(`${repository}-apart`, 'v1', imageOf(`${base} apart`, 100))
    for (const name of [open, apart]) expect((await get(`${name}/manifests/v1`)).status).toBe(200)
    const { token } = (await (await fetch(`${stack.url}/token?service=berth&scope=registry:catalog:*`)).json()) as {
      token: string
    }
    const listed = async () => {
      const { body } = await get(`_catalog?last=${base}&n=1000`, { authorization: `Bearer ${token}` })
      const { repositories } = JSON.parse(body.toString()) as { repositories: string[] }
      return repositories.filter((name) => name.startsWith(`${base}/`))
    }
    const accessOf = async (name: string) =>
      (await stack.api('GET', `/distributions/${encodeURIComponent(name)}`)).body.access
    const change = async (name: string, access: string) =>
      expect((await stack.api('PATCH', `/distributions/${encodeURIComponent(name)}`, { access })).status).toBe(200)
    expect(await listed()).toEqual([open, apart])
    await change(apart, 'private')
    expect((await get(`${apart}/manifests/v1`)).status).toBe(401)
    await change(base, 'private')
    expect(await Promise.all([open, apart].map(accessOf))).toEqual(['private', 'private'])
    expect(await listed()).toEqual([])
    expect((await get(`${open}/manifests/v1`)).status).toBe(401)
    await change(apart, 'public')
    expect(await listed()).toEqual([apart])
    expect((await get(`${apart}/manifests/v1`)).status).toBe(200)
    await change(base, 'public')
    expect(await listed()).toEqual([open, apart])
    await change(apart, 'private')
    await change(base, 'private')
    await change(base, 'public')
    expect(await Promise.all([open, apart].map(accessOf))).toEqual(['public', 'public'])
  }, 60_000)

  test('takes no pushes, so that nothing is mixed with what comes from upstream', async () => {
    const { base, repository } = await hub()
    const url = `${stack.url}/v2/${base}/${repository}/blobs/uploads/?digest=${sha256('x')}`
    const headers = { authorization: basic(stack), 'content-type': 'application/octet-stream' }
    const answer = await fetch(url, { method: 'POST', headers, body: 'x' })
    expect([answer.status, await answer.text()]).toEqual([405, expect.stringContaining('takes no changes')])
  }, 60_000)

  test('is found by ?ns=, which containerd adds, and says so', async () => {
    const other = await startMisbehavingUpstream()
    try {
      const { base, repository, image } = await hub({}, { from: other })
      const found = await get(`${repository}/manifests/v1?ns=${other.host}`)
      expect([found.status, found.digest]).toEqual([200, image.manifest.digest])
      expect(found.headers.get('oci-namespace')).toBe(other.host)
      const { status } = await stack.api('GET', `/repositories/${encodeURIComponent(`${base}/${repository}`)}`)
      expect(status).toBe(200)
      // A caller does not hear of a distribution that it may not pull from.
      expect((await stack.api('PATCH', `/distributions/${base}`, { access: 'private' })).status).toBe(200)
      const hidden = await get(`${repository}/manifests/v1?ns=${other.host}`)
      expect([hidden.status, hidden.headers.get('oci-namespace')]).toEqual([401, null])
      const told = (answer: typeof hidden) => [answer.headers.get('www-authenticate'), answer.body.toString()]
      // A registry that no distribution stands for is not asked.
      const nowhere = await get(`${repository}/manifests/v1?ns=registry.example.com`)
      expect(nowhere.status).toBe(401)
      expect(told(hidden)).toEqual(told(nowhere))
      expect(told(hidden).join()).not.toContain(base)
      // A caller that may is let in by a token for the name that the challenge says, which is all that a client knows.
      const scope = /scope="([^"]+)"/.exec(hidden.headers.get('www-authenticate') ?? '')?.[1]
      const issued = await fetch(`${stack.url}/token?service=berth&scope=${scope}`, {
        headers: { authorization: basic(stack) },
      })
      const { token } = (await issued.json()) as { token: string }
      for (const authorization of [`Bearer ${token}`, basic(stack)])
        expect((await get(`${repository}/manifests/v1?ns=${other.host}`, { authorization })).digest).toBe(
          image.manifest.digest,
        )
      // It does not stand before what the plain name has either.
      await pushRandomImage({ url: stack.url, authorization: basic(stack) }, repository, 'mine')
      expect(
        (await stack.api('PATCH', `/distributions/${encodeURIComponent(repository)}`, { access: 'public' })).status,
      ).toBe(200)
      expect((await get(`${repository}/manifests/mine?ns=${other.host}`)).status).toBe(200)
    } finally {
      await other.close()
    }
  }, 60_000)

  test.each([401, 403])(
    'answers 502 where upstream refuses the login of the remote with %d, and serves what it has',
    async (refusal) => {
      const strict = await startMisbehavingUpstream()
      try {
        const { base, repository, image } = await hub({ ttlSeconds: 0 }, { from: strict })
        const name = `${base}/${repository}`
        await get(`${name}/manifests/v1`)
        strict.when(/./, status(refusal))
        const missing = await get(`${name}/manifests/v2`)
        expect([missing.status, missing.body.toString()]).toEqual([
          502,
          expect.stringMatching(/"DENIED".*The login of the remote may not pull this/),
        ])
        // No caller is told to log in here.
        expect(missing.headers.get('www-authenticate')).toBeNull()
        const stale = await get(`${name}/manifests/v1`)
        expect([stale.status, stale.digest]).toEqual([200, image.manifest.digest])
      } finally {
        await strict.close()
      }
    },
    60_000,
  )

  test('of a remote that names repositories gives those only', async () => {
    const allowed = await hub({}, { remote: { upstreamNames: ['team/app-*'], targetPrefix: '' } })
    expect((await get(`${allowed.base}/${allowed.repository}/manifests/v1`)).status).toBe(200)
    upstream.add('other/app', 'v1', allowed.image)
    const refused = await get(`${allowed.base}/other/app/manifests/v1`)
    expect([refused.status, refused.body.toString()]).toEqual([
      403,
      expect.stringContaining('not among what is pulled through'),
    ])
  }, 60_000)

  test('of a remote with filters brings what is asked for: those are for syncs', async () => {
    const filtered = await hub({}, { remote: { includeTags: ['v2'], excludeTags: ['v1'], platforms: ['linux/s390x'] } })
    const { status, digest } = await get(`${filtered.base}/${filtered.repository}/manifests/v1`)
    expect([status, digest]).toEqual([200, filtered.image.manifest.digest])
  }, 60_000)

  test('never gives what another registry has: neither by another remote nor by a remote that moved', async () => {
    const elsewhere = await startMisbehavingUpstream()
    try {
      const { base, repository, image } = await hub({ ttlSeconds: 0 })
      const name = `${base}/${repository}`
      expect((await get(`${name}/manifests/v1`)).digest).toBe(image.manifest.digest)
      elsewhere.add(repository, ['v1', 'v2'], imageOf(`elsewhere ${base}`, 1_000))
      await make(stack, '/remotes', { ...localRemote(`${base}-other`, elsewhere.url, ''), upstreamName: null })
      const pullThrough = { remote: `${base}-other` }
      const repointed = await stack.api('PATCH', `/distributions/${base}`, { pullThrough })
      expect([repointed.status, repointed.body.field]).toEqual([400, 'pullThrough.remote'])
      expect((await stack.api('PATCH', `/remotes/${base}`, { url: elsewhere.url })).status).toBe(200)
      const kept = await get(`${name}/manifests/v1`)
      expect([kept.digest, kept.headers.get('warning')]).toEqual([
        image.manifest.digest,
        expect.stringMatching(/^111 /),
      ])
      const refused = await get(`${name}/manifests/v2`)
      expect([refused.status, refused.body.toString()]).toEqual([409, expect.stringContaining('names')])
      expect(elsewhere.seen).toEqual([])
    } finally {
      await elsewhere.close()
    }
  }, 60_000)

  test('gives nothing that its upstream only names and somebody keeps here in private', async () => {
    const { base, image } = await hub()
    const secret = imageOf(`secret of ${base}`, 5_000).layers[0]
    const path = `/v2/private/app-${base}/blobs/uploads/?digest=${secret?.digest}`
    const pushed = await fetch(`${stack.url}${path}`, {
      method: 'POST',
      headers: { authorization: basic(stack) },
      body: new Uint8Array(secret?.bytes ?? []),
    })
    expect(pushed.status).toBe(201)
    const { config } = image
    const descriptor = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: secret?.digest, size: 5_000 }
    const body = { ...JSON.parse(image.manifest.bytes.toString('utf8')), layers: [descriptor] }
    upstream.add('team/thief', 'v1', { manifest: manifestOf(body), config, layers: [] })
    const answer = await get(`${base}/team/thief/manifests/v1`)
    expect([answer.status, answer.body.toString()]).toEqual([503, expect.stringContaining('which is not there')])
    expect((await get(`${base}/team/thief/blobs/${secret?.digest}`)).status).toBe(404)
  }, 60_000)

  test.each([
    ['one byte too many', 50_001, 200_001],
    ['one byte too few', 49_999, 199_999],
  ])(
    'answers 502 with the reason for a layer whose descriptor says %s',
    async (_title, smallBytes, largeBytes) => {
      const { base, image } = await hub()
      const repository = `team/mis-sized-${base}`
      const { config, layers } = imageOf(`mis-sized ${base}`, 50_000, 200_000)
      const mediaType = 'application/vnd.oci.image.layer.v1.tar'
      const sizes = [smallBytes, largeBytes]
      const described = layers.map(({ digest }, i) => ({ mediaType, digest, size: sizes[i] }))
      const { config: configured, ...rest } = JSON.parse(image.manifest.bytes.toString('utf8'))
      const manifest = manifestOf({
        ...rest,
        config: { ...configured, digest: config.digest, size: config.bytes.length },
        layers: described,
      })
      upstream.add(repository, 'v1', { manifest, config, layers })
      expect((await get(`${base}/${repository}/manifests/v1`)).status).toBe(200)
      // The small one also from an upstream that does not say how long it is: nothing was sent of it yet.
      upstream.when(new RegExp(`${repository}/blobs/${layers[0]?.digest}`), ({ response }) => {
        response.writeHead(200).end(layers[0]?.bytes)
      })
      for (const { digest } of layers) {
        const answer = await get(`${base}/${repository}/blobs/${digest}`)
        expect([answer.status, answer.body.toString()]).toEqual([
          502,
          expect.stringMatching(
            /"DIGEST_INVALID".*as its manifest says: one gave (fewer than|other bytes, or more than) \d+/,
          ),
        ])
      }
      upstream.mend()
    },
    60_000,
  )

  test('keeps its remote; deleted, it takes its names along and leaves the repositories', async () => {
    const { base, repository } = await hub()
    const name = `${base}/${repository}`
    await get(`${name}/manifests/v1`)
    const kept = await stack.api('DELETE', `/remotes/${base}`)
    expect(kept.body).toMatchObject({ status: 409, code: 'remote_in_use', distributions: [base] })
    expect((await stack.api('DELETE', `/distributions/${base}`)).status).toBe(204)
    expect((await stack.api('DELETE', `/remotes/${base}`)).body).toMatchObject({ code: 'remote_needed' })
    expect((await stack.api('DELETE', `/remotes/${base}?force=true`)).status).toBe(204)
    expect((await get(`${name}/manifests/v1`, { authorization: basic(stack) })).status).toBe(404)
    expect((await stack.api('GET', `/repositories/${encodeURIComponent(name)}`)).status).toBe(200)
  }, 60_000)
})

test('a private one whose trigger names users that may not pull is refused, when made and when changed', async () => {
  const remote = `never-${++count}`
  await make(stack, '/remotes', { ...localRemote(remote, upstream.url, ''), upstreamName: null })
  await make(stack, '/users', { name: 'visitor', password: 'a password of visitors' })
  const wanted = { name: remote, basePath: remote, pullThrough: { remote, trigger: ['admin', 'visitor'] } }
  const refused = {
    status: 400,
    field: 'pullThrough.trigger',
    detail: expect.stringMatching(/visitor may not pull.*access/),
  }
  expect((await stack.api('POST', '/distributions', wanted)).body).toMatchObject(refused)
  await make(stack, '/distributions', { ...wanted, access: 'public' })
  expect((await stack.api('PATCH', `/distributions/${remote}`, { access: 'private' })).body).toMatchObject(refused)
  const onlyAdmin = { access: 'private', pullThrough: { trigger: ['admin'] } }
  expect((await stack.api('PATCH', `/distributions/${remote}`, onlyAdmin)).status).toBe(200)
})

test.each<[string, object, string]>([
  ['neither a repository nor a host', {}, 'repository'],
  ['both', { repository: 'x', pullThrough: { remote: 'x' } }, 'pullThrough'],
  ['a remote that is not there', { pullThrough: { remote: 'nobody' } }, 'pullThrough.remote'],
  ['a pinned version of a host', { version: 1, pullThrough: { remote: 'x' } }, 'version'],
])('a distribution of %s is refused by the name of the field', async (_title, more, field) => {
  const answer = await stack.api('POST', '/distributions', { name: 'wrong', basePath: 'wrong', ...more })
  expect([answer.status, answer.body.field]).toEqual([400, field])
})
