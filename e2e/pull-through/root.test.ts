import { type Image, imageOf, startMisbehavingUpstream, status } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage, type Target } from '../berth/push.ts'
import { basic, localRemote, make, manifestTypes, repositoryPath, sha256 } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import { containerdMissing, startContainerd } from '../clients/containerd.ts'

// Of its own: of namespaces that others have taken away the registry hears within a minute.
const stack = withBerth({ own: true })
const upstream = withUpstream()
let admin: Target
const alpine = imageOf('alpine', 5_000, 6_000)
// Taken before there was a mirror.
let withoutMirror: Awaited<ReturnType<typeof refusal>>

beforeAll(async () => {
  admin = { url: stack.url, authorization: basic(stack) }
  for (const [name, url] of [
    ['hub', upstream.url],
    ['other', upstream.url.replace('127.0.0.1', 'localhost')],
  ] as const)
    await make(stack, '/remotes', { ...localRemote(name, url, '', { retries: 0 }), upstreamName: null })
  await pushRandomImage(admin, 'closed/app', 'v1')
  withoutMirror = await refusal('nowhere/app')
  const open = { access: 'public', pullThrough: { remote: 'hub', trigger: 'anonymous', mirrorOfRoot: true } }
  await make(stack, '/distributions', { name: 'hub', basePath: 'hub', ...open })
  upstream.add('library/alpine', 'v1', alpine)
}, 60_000)

async function ask(path: string, { method = 'GET', ...headers }: Record<string, string> = {}) {
  const answer = await fetch(`${stack.url}/v2/${path}`, { method, headers: { accept: manifestTypes, ...headers } })
  const bytes = Buffer.from(await answer.arrayBuffer())
  return { status: answer.status, headers: answer.headers, digest: sha256(bytes), text: bytes.toString() }
}
async function bearer(name: string, actions: string, authorization?: string): Promise<{ authorization: string }> {
  const url = `${stack.url}/token?service=berth&scope=repository:${name}:${actions}`
  const answer = await fetch(url, authorization === undefined ? {} : { headers: { authorization } })
  return { authorization: `Bearer ${((await answer.json()) as { token: string }).token}` }
}
/** All that a client without credentials is told when it asks for a manifest, but for the name. */
async function refusal(name: string) {
  const { status, headers, text } = await ask(`${name}/manifests/v1`)
  const told = [headers.get('www-authenticate'), headers.get('warning'), headers.get('retry-after'), text]
  return { status, told: told.map((one) => one?.replaceAll(name, 'NAME') ?? null) }
}
const statusOf = async (path: string, more: Record<string, string> = {}) => (await ask(path, more)).status
const asked = (repository: string) => upstream.seen.filter(({ path }) => path.includes(`/${repository}/`))
function has(repository: string): Image {
  const image = imageOf(repository, 4_000)
  upstream.add(repository, 'v1', image)
  return image
}

describe('the setting', () => {
  const refusedAs = async (method: string, path: string, body: object) => {
    const { status, body: problem } = await stack.api(method, path, body)
    return { status, code: problem.code, field: problem.field, hint: problem.hint }
  }
  const other = (pullThrough: object, more: object = {}) =>
    refusedAs('POST', '/distributions', {
      name: 'other',
      basePath: 'other',
      pullThrough: { remote: 'other', ...pullThrough },
      ...more,
    })

  test('is for one distribution, and for one that is open to everybody', async () => {
    const mirror = { trigger: 'anonymous', mirrorOfRoot: true }
    const isPublic = { access: 'public' }
    expect(await other(mirror)).toMatchObject({ status: 400, field: 'access', hint: expect.any(String) })
    for (const trigger of ['users', ['ana']])
      expect(await other({ ...mirror, trigger }, isPublic)).toMatchObject({
        status: 400,
        field: 'pullThrough.trigger',
        hint: expect.any(String),
      })
    expect(await other(mirror, isPublic)).toMatchObject({
      status: 409,
      code: 'root_taken',
      field: 'pullThrough.mirrorOfRoot',
      hint: expect.stringContaining('false'),
    })
    const change = (body: object) => refusedAs('PATCH', '/distributions/hub', body)
    expect(await change({ access: 'private' })).toMatchObject({ status: 400, field: 'access' })
    expect(await change({ pullThrough: { trigger: 'users' } })).toMatchObject({
      status: 400,
      field: 'pullThrough.trigger',
    })
  })

  test('is shown, can be passed on, and ends what it gave', async () => {
    const { body } = await stack.api('GET', '/distributions/hub')
    expect(body.pullThrough).toMatchObject({ mirrorOfRoot: true })
    const set = async (name: string, mirrorOfRoot: boolean) =>
      expect((await stack.api('PATCH', `/distributions/${name}`, { pullThrough: { mirrorOfRoot } })).status).toBe(200)
    expect(await statusOf('library/alpine/manifests/v1')).toBe(200)
    await set('hub', false)
    expect(await refusal('library/alpine')).toEqual(withoutMirror)
    const pullThrough = { remote: 'other', trigger: 'anonymous' }
    const made = await make(stack, '/distributions', { name: 'b', basePath: 'b', access: 'public', pullThrough })
    expect(made.pullThrough).toMatchObject({ mirrorOfRoot: false })
    await set('b', true)
    await set('b', false)
    await set('hub', true)
    expect(await statusOf('library/alpine/manifests/v1')).toBe(200)
  })
})

describe('a name that nothing here has', () => {
  test('is what the mirror has below its base path, to every client that reads', async () => {
    const { manifest, config, layers } = alpine
    const anonymous = await bearer('library/alpine', 'pull')
    for (const caller of [{}, anonymous, { authorization: basic(stack) }]) {
      expect((await ask('library/alpine/manifests/v1', caller)).digest).toBe(manifest.digest)
      expect(await statusOf('library/alpine/manifests/v1', { ...caller, method: 'HEAD' })).toBe(200)
      expect((await ask(`library/alpine/manifests/${manifest.digest}`, caller)).digest).toBe(manifest.digest)
      for (const { digest } of [config, ...layers])
        expect((await ask(`library/alpine/blobs/${digest}`, caller)).digest).toBe(digest)
      expect(JSON.parse((await ask('library/alpine/tags/list', caller)).text)).toMatchObject({ tags: ['v1'] })
      expect(await statusOf(`library/alpine/referrers/${manifest.digest}`, caller)).toBe(200)
    }
    expect(await statusOf(`library/alpine/blobs/${config.digest}`, { method: 'HEAD', ...anonymous })).toBe(200)
    expect(asked('library/alpine').filter(({ path }) => path.includes('/blobs/'))).toHaveLength(3)
    expect((await stack.api('GET', repositoryPath('hub/library/alpine'))).status).toBe(200)
    expect((await stack.api('GET', repositoryPath('library/alpine'))).status).toBe(404)
  })

  test('is said to be unknown in a tag that a known name has not', async () => {
    await ask('library/alpine/manifests/v1')
    expect(await statusOf('library/alpine/manifests/v9')).toBe(404)
  })

  test('comes from a distribution that serves it, where there is one', async () => {
    has('served/here')
    expect(await statusOf('served/here/manifests/v1')).toBe(200)
    const { digest } = await pushRandomImage(admin, 'closed/served', 'v1')
    const serving = { repository: 'closed/served', access: 'public' }
    await make(stack, '/distributions', { name: 'served', basePath: 'served/here', ...serving })
    expect((await ask('served/here/manifests/v1')).headers.get('docker-content-digest')).toBe(digest)
  })

  test('is not what another registry has that the client named', async () => {
    expect(await statusOf('library/alpine/manifests/v1?ns=registry.example.org')).toBe(401)
    expect(await statusOf(`library/alpine/manifests/v1?ns=${upstream.host}`)).toBe(200)
  })
})

describe('no name that is or was here comes from outside', () => {
  test('private, mistyped and unknown names are refused as without a mirror, and upstream hears of those of nobody only', async () => {
    for (const name of ['closed/app', 'closed/mistyped']) has(name)
    for (const name of ['closed/app', 'closed/mistyped', 'nowhere/app'])
      expect(await refusal(name)).toEqual(withoutMirror)
    expect([asked('closed/app'), asked('closed/mistyped')]).toEqual([[], []])
    const digest = `sha256:${'0'.repeat(64)}`
    for (const what of ['tags/list', `referrers/${digest}`, `blobs/${digest}`])
      for (const name of ['closed/app', 'nowhere/app']) expect(await statusOf(`${name}/${what}`)).toBe(401)
    const known = { authorization: basic(stack) }
    expect(await statusOf('closed/mistyped/manifests/v1', known)).toBe(404)
    expect(await statusOf('nowhere/app/manifests/v1', known)).toBe(404)
  })

  test('a name of nobody is refused in the same way while upstream cannot say whether it has it', async () => {
    const troubled = await startMisbehavingUpstream()
    const setRoot = (name: string, mirrorOfRoot: boolean) =>
      stack.api('PATCH', `/distributions/${name}`, { pullThrough: { mirrorOfRoot } })
    try {
      await make(stack, '/remotes', {
        ...localRemote('troubled', troubled.url, '', { retries: 0 }),
        upstreamName: null,
      })
      await setRoot('hub', false)
      const pullThrough = { remote: 'troubled', trigger: 'anonymous', mirrorOfRoot: true }
      await make(stack, '/distributions', { name: 'troubled', basePath: 'troubled', access: 'public', pullThrough })
      troubled.when(/./, status(500))
      expect(await refusal('nowhere/app')).toEqual(withoutMirror)
      expect(await statusOf('nowhere/app/manifests/v1', { authorization: basic(stack) })).toBe(503)
    } finally {
      await setRoot('troubled', false)
      await setRoot('hub', true)
      await troubled.close()
    }
  })

  const takers: [string, (namespace: string) => Promise<unknown>][] = [
    ['a namespace that is made', (name) => make(stack, '/namespaces', { name })],
    ['a repository that is made', (name) => make(stack, '/repositories', { name: `${name}/another` })],
    ['a first push', (name) => pushRandomImage(admin, `${name}/another`, 'v1')],
  ]
  test.each(takers)('%s has its names at once', async (title, take) => {
    const namespace = title.replaceAll(' ', '-')
    const name = `${namespace}/app`
    has(name)
    expect(await statusOf(`${name}/manifests/v1`)).toBe(200)
    await take(namespace)
    expect(await refusal(name)).toEqual(withoutMirror)
  })

  test('a repository that is deleted leaves its namespace, until that is deleted too', async () => {
    const name = 'deleted/app'
    await pushRandomImage(admin, name, 'v1')
    has(name)
    const remove = async (path: string) => expect((await stack.api('DELETE', path)).status).toBe(204)
    await remove(`/distributions/${encodeURIComponent(name)}`)
    await remove(repositoryPath(name))
    expect(await refusal(name)).toEqual(withoutMirror)
    expect(asked(name)).toEqual([])
    expect((await stack.api('GET', '/namespaces/deleted')).body).toMatchObject({ usage: { repositories: 0 } })
    await remove('/namespaces/deleted')
  })
})

test('a push goes by what is here, and not by what the mirror has', async () => {
  const name = 'mine/app'
  const { manifest, layers } = has(name)
  const blob = `${name}/blobs/${layers[0]?.digest}`
  expect(await statusOf(`${name}/manifests/v1`)).toBe(200)
  expect(await statusOf(blob)).toBe(200)
  const pushing = await bearer(name, 'pull,push', basic(stack))
  // As containerd asks before it has a token.
  expect(await statusOf(blob, { method: 'HEAD' })).toBe(401)
  for (const path of [blob, `${name}/manifests/v1`, `${name}/manifests/${manifest.digest}`])
    expect(await statusOf(path, { method: 'HEAD', ...pushing })).toBe(404)
  expect(await statusOf(blob, { method: 'HEAD', authorization: basic(stack) })).toBe(404)
  const mount = `closed/app/blobs/uploads/?mount=${layers[0]?.digest}&from=${name}`
  expect(await statusOf(mount, { method: 'POST', authorization: basic(stack) })).toBe(202)
  const { digest } = await pushRandomImage(admin, name, 'v1')
  expect((await ask(`${name}/manifests/v1`, pushing)).headers.get('docker-content-digest')).toBe(digest)
  expect(await refusal(name)).toEqual(withoutMirror)
})

const whyNoContainerd = containerdMissing()
const testContainerd = whyNoContainerd ? test.skip : test
testContainerd(
  `containerd pushes whole what it has got from the mirror under the same name${whyNoContainerd ? ` (skipped: ${whyNoContainerd})` : ''}`,
  async () => {
    const name = 'by-containerd/app'
    const { manifest } = has(name)
    const containerd = await startContainerd()
    try {
      const reference = `${stack.host}/${name}:v1`
      await containerd.ctr(['content', 'fetch', '--plain-http', reference])
      // Another tag, or it would see by that one that there is nothing to push.
      const [to, login] = [`${stack.host}/${name}:v2`, `${stack.user}:${stack.password}`]
      await containerd.ctr(['images', 'tag', reference, to])
      await containerd.ctr(['images', 'push', '--plain-http', '--user', login, to])
      const { body } = await stack.api('GET', `${repositoryPath(name)}/tags`)
      expect(body.items).toMatchObject([{ name: 'v2', digest: manifest.digest }])
    } finally {
      await containerd.stop()
    }
  },
  60_000,
)

test('what is a namespace here is still one after a restart, and the mirror goes on', async () => {
  await stack.restart()
  for (const name of ['closed/mistyped', 'a-namespace-that-is-made/app', 'a-first-push/app'])
    expect(await refusal(name)).toEqual(withoutMirror)
  expect(await statusOf('library/alpine/manifests/v1')).toBe(200)
}, 60_000)
