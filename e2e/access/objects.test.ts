import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, expect, test } from '@jest/globals'
import { pushRandomImage, send } from '../berth/push.ts'
import { basic, getManifest, localRemote, make, repositoryPath } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { apiAs, basicOf, grant, grantedUnder, makeRobot, makeUser, untilGranted } from './people.ts'

const berth = withBerth()
const upstream = withUpstream()
let ann: Login
let admin: { url: string; authorization: string }
beforeAll(async () => {
  ann = await makeUser(berth, 'objects-ann')
  admin = { url: berth.url, authorization: basic(berth) }
}, 90_000)

const check = async (login: Login, action: string, on: string) =>
  (await apiAs(berth, login, 'GET', `/access/check?${new URLSearchParams({ action, on })}`)).body

test('what was made a moment ago can be granted on, and what is not there cannot', async () => {
  for (let n = 0; n < 10; n++) {
    const name = `objects/at-once-${n}`
    await make(berth, '/repositories', { name })
    await grant(berth, { user: ann.user }, 'puller', `repository:${name}`)
    await make(berth, '/distributions', { name, basePath: name, repository: name })
    await grant(berth, { user: ann.user }, 'puller', `distribution:${name}`)
    await make(berth, '/remotes', localRemote(name.replace('/', '-'), 'http://127.0.0.1:5000', 'library/a'))
    await grant(berth, { user: ann.user }, 'puller', `remote:${name.replace('/', '-')}`)
    expect(await grantedUnder(berth, ann, name)).toBe('pull')
  }
  for (const kind of ['repository', 'distribution', 'remote']) {
    const to = { user: ann.user }
    const { status, body } = await berth.api('POST', '/grants', { to, role: 'puller', on: `${kind}:objects/none` })
    expect({ status, code: body.code }).toEqual({ status: 404, code: `${kind}_not_found` })
  }
})

test('a namespace that is made for a group is owned by its members, and one whose owner is not there is not made', async () => {
  const name = 'objects-owned'
  await make(berth, '/groups', { name: 'objects-group', members: [ann.user] })
  const refused = await berth.api('POST', '/namespaces', { name, owner: { group: 'objects-nobody' } })
  expect([refused.status, refused.body.code]).toEqual([404, 'group_not_found'])
  const odd = await berth.api('POST', '/namespaces', { name, owner: { user: ann.user, group: 'objects-group' } })
  expect(odd.status).toBe(400)
  await make(berth, '/namespaces', { name, owner: { group: 'objects-group' } })
  expect(await check(ann, 'grant', `namespace:${name}`)).toMatchObject({ allowed: true })
  expect((await apiAs(berth, ann, 'POST', '/repositories', { name: `${name}/app` })).status).toBe(201)
})

test('with an object goes what was granted on it, and another one of its name inherits nothing', async () => {
  const name = 'objects/again'
  await pushRandomImage(admin, name, '1')
  const ids = [
    await grant(berth, { user: ann.user }, 'pusher', `repository:${name}`),
    await grant(berth, { user: ann.user }, 'pusher', `distribution:${name}`),
  ]
  await untilGranted(berth, ann, name, 'pull,push')
  expect((await apiAs(berth, ann, 'GET', repositoryPath(name))).status).toBe(200)
  expect((await berth.api('DELETE', `/distributions/${encodeURIComponent(name)}`)).status).toBe(204)
  expect((await berth.api('DELETE', repositoryPath(name))).status).toBe(204)
  await pushRandomImage(admin, name, '1')
  await untilGranted(berth, ann, name, '')
  expect((await apiAs(berth, ann, 'GET', repositoryPath(name))).status).toBe(404)
  for (const id of ids) expect((await berth.api('GET', `/grants/${id}`)).status).toBe(404)
})

test('a person owns what it pushed first, and what a robot pushed is of those who have the namespace', async () => {
  const robot = await makeRobot(berth, 'ci', 'objects')
  const granted = [
    await grant(berth, { user: ann.user }, 'pusher', 'objects/*'),
    await grant(berth, { robot: robot.user }, 'pusher', 'objects/*'),
  ]
  await pushRandomImage({ url: berth.url, authorization: basicOf(ann) }, 'objects/of-ann', '1')
  await pushRandomImage({ url: berth.url, authorization: basicOf(robot) }, 'objects/of-robot', '1')
  await untilGranted(berth, ann, 'objects/of-ann', 'pull,push,delete')
  expect(await grantedUnder(berth, ann, 'objects/of-robot')).toBe('pull,push')
  expect(await grantedUnder(berth, robot, 'objects/of-robot')).toBe('pull,push')
  expect(await check(ann, 'remove', 'repository:objects/of-ann')).toEqual({ allowed: true, because: { owner: true } })
  expect((await check(ann, 'publish', 'distribution:objects/of-ann')).allowed).toBe(false)
  for (const id of granted) await berth.api('DELETE', `/grants/${id}`)
  await untilGranted(berth, ann, 'objects/of-ann', 'pull,push,delete')
  expect(await grantedUnder(berth, robot, 'objects/of-robot')).toBe('')
  const path = '/v2/objects/of-ann/manifests/1'
  await send({ url: berth.url, authorization: basicOf(ann) }, 'DELETE', path, 202)
})

test('that something is public is said as the reason, and what is private answers as what is missing', async () => {
  await pushRandomImage(admin, 'objects/public', '1')
  await pushRandomImage(admin, 'objects/private', '1')
  const { status } = await berth.api('PATCH', '/distributions/objects%2Fpublic', { access: 'public' })
  expect(status).toBe(200)
  const of = (name: string) => check(ann, 'pull', `distribution:objects/${name}`)
  expect(await of('public')).toEqual({ allowed: true, because: { public: true } })
  const denied = { allowed: false, because: null, missing: { verb: 'pull', role: 'puller' } }
  expect([await of('private'), await of('missing')]).toEqual([denied, denied])
  expect((await check(ann, 'push', 'distribution:objects/public')).allowed).toBe(false)
})

test('a right to pull from a host is one on all that comes by it, before and after it is here', async () => {
  upstream.add('wanted', 'v1', imageOf('wanted', 1_000))
  await make(berth, '/remotes', { ...localRemote('objects-hub', upstream.url, '', { retries: 0 }), upstreamName: null })
  const hub = {
    name: 'objects-hub',
    basePath: 'objects-hub',
    access: 'private',
    pullThrough: { remote: 'objects-hub' },
  }
  await make(berth, '/distributions', hub)
  const pull = async () => (await getManifest(`${berth.url}/v2/objects-hub/wanted/manifests/v1`, ann)).status
  expect(await pull()).toBe(403)
  await grant(berth, { user: ann.user }, 'puller', 'distribution:objects-hub')
  expect(await pull()).toBe(200)
  // By now it is a distribution of its own, of which auth hears.
  await berth.api('GET', '/distributions/objects-hub%2Fwanted')
  await grant(berth, { user: 'admin' }, 'puller', 'distribution:objects-hub/wanted')
  expect(await grantedUnder(berth, ann, 'objects-hub/wanted')).toBe('pull')
  expect(await pull()).toBe(200)
  const listed = await fetch(`${berth.url}/v2/_catalog?n=1000`, { headers: { authorization: basicOf(ann) } })
  expect(((await listed.json()) as { repositories: string[] }).repositories).toContain('objects-hub/wanted')
})
