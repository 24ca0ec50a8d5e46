import { hang, imageOf } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { localRemote, make, repositoryPath } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { apiAs, basicOf, grant, makeUser, tokenFor, untilGranted } from './people.ts'

const berth = withBerth()
const upstream = withUpstream()
let mallory: Login
let victor: Login
beforeAll(async () => {
  ;[mallory, victor] = [await makeUser(berth, 'near-mallory'), await makeUser(berth, 'near-victor')]
  await make(berth, '/namespaces', { name: 'near-mallory', owner: { user: mallory.user } })
  await make(berth, '/namespaces', { name: 'near-victor', owner: { user: victor.user } })
  await make(berth, '/repositories', { name: 'near-mallory/app' })
}, 60_000)

const asMallory = async (method: string, path: string, body?: object) => {
  const answer = await apiAs(berth, mallory, method, path, body)
  return { status: answer.status, code: answer.body?.code, missing: answer.body?.missing?.verb }
}
const notAllowed = (missing: string) => ({ status: 403, code: 'not_allowed', missing })

test('a name of a distribution is taken only where one may make distributions, and those of others are not told', async () => {
  const named = (name: string) => ({ name, basePath: `near-mallory/${name.length}`, repository: 'near-mallory/app' })
  const there = 'near-victor/there'
  await pushRandomImage({ url: berth.url, authorization: basicOf(victor) }, there, '1')
  for (const name of [there, 'near-victor/to-come', 'near-victor', 'plain'])
    expect(await asMallory('POST', '/distributions', named(name))).toEqual(notAllowed('distribution.create'))
  expect((await asMallory('POST', '/distributions', named('near-mallory/shown'))).status).toBe(201)
})

test('a first push is served although another base path is called as it', async () => {
  const name = 'near-victor/called'
  await make(berth, '/distributions', { name, basePath: 'near-victor/elsewhere', repository: 'near-mallory/app' })
  const target = { url: berth.url, authorization: basicOf(victor) }
  await pushRandomImage(target, name, '1')
  const pull = await fetch(`${berth.url}/v2/${name}/manifests/1`, { headers: { authorization: target.authorization } })
  expect(pull.status).toBe(200)
})

test('the quota of a namespace is forgotten by an administrator only', async () => {
  const path = '/namespaces/near-mallory'
  await berth.api('PATCH', path, { quotaBytes: 1_000_000 })
  expect(await asMallory('DELETE', path)).toEqual(notAllowed('administer'))
  expect((await berth.api('GET', path)).body.quotaBytes).toBe(1_000_000)
  await berth.api('PATCH', path, { quotaBytes: null })
  expect((await asMallory('DELETE', path)).status).toBe(204)
})

test('a remote that an administrator opened is pointed to other hosts by one only, and renamed to where one may make remotes', async () => {
  const path = '/remotes/near-mallory%2Fopen'
  await make(berth, '/remotes', localRemote('near-mallory/open', 'http://127.0.0.1:5000', 'library/a'))
  const elsewhere = [
    { url: 'http://127.0.0.1:5001' },
    { url: 'https://registry.example.com' },
    { tokenHosts: ['127.0.0.2'] },
    { includeForeignLayers: true },
  ]
  for (const change of elsewhere) {
    expect({ change, ...(await asMallory('PATCH', path, change)) }).toEqual({ change, ...notAllowed('administer') })
  }
  const known = { url: 'http://127.0.0.1:5000', upstreamName: 'library/b', tokenHosts: [] }
  expect((await asMallory('PATCH', path, known)).status).toBe(200)
  await make(berth, '/remotes', localRemote('near-victor/hub', 'http://127.0.0.1:5000', 'library/a'))
  for (const name of ['near-victor/hub', 'near-victor/none', 'plain'])
    expect(await asMallory('PATCH', path, { name })).toEqual(notAllowed('remote.create'))
  expect((await asMallory('PATCH', path, { name: 'near-mallory/renamed' })).status).toBe(200)
})

test('who may only use a remote is not told where its signatures lie', async () => {
  const signatures = { require: false, keys: [], sigstore: 'https://signatures.example.com/store' }
  await make(berth, '/remotes', { ...localRemote('near-signed', 'http://127.0.0.1:5000', 'library/a'), signatures })
  await grant(berth, { user: victor.user }, 'maintainer', 'remote:near-signed')
  const { body } = await apiAs(berth, victor, 'GET', '/remotes/near-signed')
  expect(body).toMatchObject({ url: null, signatures: { require: false, keys: [] } })
  expect(JSON.stringify(body)).not.toContain('signatures.example.com')
})

test('a sync of many repositories goes where its starter was let in, wherever its remote says later', async () => {
  const name = 'near-mallory/many'
  const path = `/remotes/${encodeURIComponent(name)}`
  upstream.add('near/a', '1', imageOf('near', 1_000))
  const { upstreamName: _one, ...remote } = localRemote(name, upstream.url, '', { retries: 0 }) as Record<
    string,
    unknown
  >
  await make(berth, '/remotes', { ...remote, upstreamNames: ['near/a'], targetPrefix: 'near-mallory/in' })
  upstream.when(/manifests/, hang)
  const start = async () => (await apiAs(berth, mallory, 'POST', '/syncs', { remote: name })).body.id as string
  const [first, second] = [await start(), await start()]
  expect((await asMallory('PATCH', path, { targetPrefix: 'near-victor/in' })).status).toBe(200)
  expect(await asMallory('POST', '/syncs', { remote: name })).toEqual(notAllowed('push'))
  upstream.mend()
  await asMallory('POST', `/tasks/${first}/cancel`)
  expect(await berth.waitForTask(second)).toMatchObject({ state: 'completed', result: { completed: 1 } })
  const isThere = async (prefix: string) => (await berth.api('GET', repositoryPath(`${prefix}/in/near/a`))).status
  expect([await isThere('near-mallory'), await isThere('near-victor')]).toEqual([200, 404])
})

test('who may grant on a repository sees wherever it is served, be it by others', async () => {
  const name = 'near-victor/lent'
  const path = `/distributions?repository=${encodeURIComponent(name)}`
  await make(berth, '/repositories', { name })
  const lent = await grant(berth, { user: mallory.user }, 'puller', `repository:${name}`)
  const elsewhere = { name: 'near-mallory/lent', basePath: 'near-mallory/lent', repository: name }
  expect((await asMallory('POST', '/distributions', elsewhere)).status).toBe(201)
  await make(berth, '/distributions', { name, basePath: name, repository: name })
  const seenBy = async (login: Login, query = path) =>
    ((await apiAs(berth, login, 'GET', query)).body.items as { basePath: string }[]).map(({ basePath }) => basePath)
  expect(await seenBy(mallory)).toEqual([elsewhere.basePath])
  expect(await seenBy(victor)).toEqual([elsewhere.basePath, name])
  expect(await seenBy(victor, '/distributions?q=lent')).toEqual([name])
  // The owner of one object is one who may grant on it.
  const own = { name: 'near-mallory/own', basePath: 'near-mallory/own', repository: 'near-mallory/own' }
  expect((await asMallory('POST', '/repositories', { name: own.name })).status).toBe(201)
  await make(berth, '/distributions', { ...own, name: 'near-away', basePath: 'near-away' })
  expect(await seenBy(mallory, `/distributions?repository=${encodeURIComponent(own.name)}`)).toEqual(['near-away'])
  expect((await berth.api('DELETE', `/grants/${lent}`)).status).toBe(204)
  expect((await asMallory('GET', path)).status).toBe(404)
})

test('the role admin is neither changed nor taken by who only grants on everything, and plain robots are not listed to it', async () => {
  await make(berth, '/roles', { name: 'near-granter', verbs: ['read', 'grant', 'robot.manage'] })
  await grant(berth, { user: mallory.user }, 'near-granter', '*')
  const admin = await grant(berth, { user: victor.user }, 'admin', '*')
  await make(berth, '/robots', { name: 'near-plain' })
  await make(berth, '/robots', { name: 'ci', namespace: 'near-victor' })
  for (const [method, body] of [['DELETE'], ['PATCH', { role: 'near-granter' }]] as const)
    expect(await asMallory(method, `/grants/${admin}`, body)).toMatchObject({ status: 403, code: 'not_held' })
  const { items } = (await apiAs(berth, mallory, 'GET', '/robots?q=near')).body
  expect(items.map(({ name }: { name: string }) => name)).toEqual(['near-victor/ci'])
  expect((await berth.api('DELETE', `/grants/${admin}`)).status).toBe(204)
})

test('the mirror of the root is made by an administrator only', async () => {
  const fields = localRemote('near-mallory/root', upstream.url, '') as Record<string, unknown>
  const { upstreamName: _none, ...remote } = fields
  await make(berth, '/remotes', remote)
  const path = '/distributions/near-mallory%2Froot'
  const pullThrough = { remote: 'near-mallory/root', trigger: 'anonymous' }
  const wanted = { name: 'near-mallory/root', basePath: 'near-mallory/root', access: 'public', pullThrough }
  const root = { pullThrough: { ...pullThrough, mirrorOfRoot: true } }
  expect(await asMallory('POST', '/distributions', { ...wanted, ...root })).toEqual(notAllowed('administer'))
  expect((await asMallory('POST', '/distributions', wanted)).status).toBe(201)
  expect(await asMallory('PATCH', path, root)).toEqual(notAllowed('administer'))
  expect((await asMallory('DELETE', path)).status).toBe(204)
})

test('what is asked for by its registry comes by what is for everybody, whoever pulls from that registry for itself', async () => {
  const fields = localRemote('near-hub', upstream.url, '') as Record<string, unknown>
  const { upstreamName: _none, ...remote } = fields
  await make(berth, '/remotes', remote)
  upstream.add('near/everybody', '1', imageOf('everybody', 1_000))
  const pullThrough = { remote: 'near-hub', trigger: 'anonymous' }
  const add = (basePath: string, access: string) =>
    make(berth, '/distributions', { name: basePath, basePath, access, pullThrough })
  await add('near-a/hub', 'private')
  await add('near-hub', 'public')
  const url = `${berth.url}/v2/near/everybody/manifests/1?ns=${new URL(upstream.url).host}`
  expect((await fetch(url)).status).toBe(200)
})

test('a token to push is for the repository that was served, wherever its base path is pointed then', async () => {
  const target = { url: berth.url, authorization: basicOf(victor) }
  const prey = 'near-victor/prey'
  const { digest, layers } = await pushRandomImage(target, prey, '1')
  const puller = await makeUser(berth, 'near-puller')
  await make(berth, '/namespaces', { name: 'near-puller', owner: { user: puller.user } })
  await grant(berth, { user: puller.user }, 'puller', `repository:${prey}`)
  await pushRandomImage({ url: berth.url, authorization: basicOf(puller) }, 'near-puller/trap', '1')
  await untilGranted(berth, puller, 'near-puller/trap', 'pull,push,delete')
  const tokens = await Promise.all(
    ['trap', 'none'].map((name) => tokenFor(berth, puller, `repository:near-puller/${name}:pull,push,delete`)),
  )
  const [trap = '', none = ''] = tokens.map((token) => `Bearer ${token}`)
  // A first push goes on with the token that it began with.
  await pushRandomImage({ url: berth.url, authorization: none }, 'near-puller/none', '1')
  await pushRandomImage({ url: berth.url, authorization: none }, 'near-puller/none', '2')
  for (const name of ['trap', 'none'])
    await apiAs(berth, puller, 'PATCH', `/distributions/near-puller%2F${name}`, { repository: prey })
  for (const [name, authorization] of [
    ['trap', trap],
    ['none', none],
    ['trap', basicOf(puller)],
  ] as const) {
    const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] }
    const headers = { authorization, 'content-type': index.mediaType }
    const send = (method: string, path: string) =>
      fetch(`${berth.url}/v2/near-puller/${name}${path}`, {
        method,
        headers,
        ...(method === 'PUT' ? { body: JSON.stringify(index) } : {}),
      })
    expect((await send('GET', '/manifests/1')).headers.get('docker-content-digest')).toBe(digest)
    const refused = authorization.startsWith('Basic') ? 403 : 401
    const empty = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    for (const [method, path] of [
      ['DELETE', '/manifests/1'],
      ['DELETE', `/manifests/${digest}`],
      ['PUT', '/manifests/1'],
      ['POST', `/blobs/uploads/?mount=${layers[0]}&from=near-puller/${name}`],
      ['POST', `/blobs/uploads/?digest=${empty}`],
    ] as const)
      expect({ name, method, path, status: (await send(method, path)).status }).toEqual({
        name,
        method,
        path,
        status: refused,
      })
  }
  const kept = await fetch(`${berth.url}/v2/${prey}/manifests/1`, { headers: { authorization: target.authorization } })
  expect(kept.headers.get('docker-content-digest')).toBe(digest)
})

test('a copy names those base paths only that its caller may see', async () => {
  await berth.api('DELETE', `/users/${mallory.user}`)
  mallory = await makeUser(berth, 'near-mallory')
  await grant(berth, { user: mallory.user }, 'maintainer', 'repository:near-mallory/app')
  await make(berth, '/distributions', { name: 'near-x', basePath: 'near-secret/x', repository: 'near-mallory/app' })
  await pushRandomImage({ url: berth.url, authorization: basicOf(victor) }, 'near-victor/source', '1')
  await grant(berth, { user: mallory.user }, 'puller', 'repository:near-victor/source')
  const from = { repository: 'near-victor/source' }
  const { status, body } = await apiAs(berth, mallory, 'POST', `${repositoryPath('near-mallory/app')}/copy`, { from })
  expect({ status, basePaths: body.basePaths }).toEqual({ status: 201, basePaths: [] })
})
