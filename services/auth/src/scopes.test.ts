import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { basic, login, type People, startPeople } from './testing/people.fixture.ts'

let people: People
const ids: Record<string, string> = {}
beforeAll(async () => {
  people = await startPeople('ann', 'bob', 'cleo', 'dora', 'eve', 'finn')
  ids.repository = await people.told({ kind: 'repository', name: 'team/app' })
  ids.distribution = await people.told({ kind: 'distribution', name: 'team/app', repositoryId: ids.repository })
  // Served under a name that is not its own.
  ids.promoted = await people.told({ kind: 'distribution', name: 'prod/app', repositoryId: ids.repository })
  ids.hub = await people.told({ kind: 'distribution', name: 'hub', repositoryId: null })
  const came = await people.told({ kind: 'repository', name: 'hub/library/alpine' })
  ids.came = await people.told({ kind: 'distribution', name: 'hub/library/alpine', repositoryId: came, viaId: ids.hub })
  const apart = await people.told({ kind: 'repository', name: 'hub/own' })
  ids.apart = await people.told({ kind: 'distribution', name: 'hub/own', repositoryId: apart })
  // Made and not served, as the API does.
  ids.unserved = await people.told({ kind: 'repository', name: 'team/unserved' })
}, 60_000)
afterAll(() => people?.stop())

/** What of `pull,push,delete,*` under a base path somebody gets a token for. */
const under = async (who: string, basePath: string) => {
  const granted = await people.granted(who, `repository:${basePath}:pull,push,delete,*`)
  return granted === '' ? '' : granted.slice(`repository:${basePath}:`.length)
}
const idOf = async (name: string) => (await people.ask('admin', 'get', `/users/${name}`)).body.id as string

describe.each<[string, string, Record<string, string>]>([
  ['puller', 'team/*', { 'team/app': 'pull', 'prod/app': '', 'team/new': 'pull', team: '', 'teams/app': '' }],
  [
    'pusher',
    'team/*',
    { 'team/app': 'pull,push', 'prod/app': '', 'team/new': 'pull,push', 'team/unserved': 'pull,push', team: '' },
  ],
  [
    'maintainer',
    'namespace:team',
    { 'team/app': 'pull,push,delete', team: 'pull,push,delete', 'teams/app': '', 'prod/app': '' },
  ],
  ['owner', '*', { 'team/app': 'pull,push,delete', 'prod/app': 'pull,push,delete', anything: 'pull,push,delete' }],
  ['pusher', 'repository:team/app', { 'team/app': '', 'prod/app': '', 'team/new': '' }],
  ['pusher', 'distribution:team/app', { 'team/app': 'pull', 'prod/app': '', 'team/new': '' }],
  ['puller', 'distribution:prod/app', { 'prod/app': 'pull', 'team/app': '' }],
  [
    'puller',
    'distribution:hub',
    { 'hub/library/alpine': 'pull', 'hub/never/pulled': 'pull', hub: 'pull', 'hub/own': '', hubs: '' },
  ],
  ['puller', 'hub/*', { 'hub/library/alpine': 'pull', 'hub/own': 'pull', hub: '' }],
  ['puller', 'distribution:hub/library/alpine', { 'hub/library/alpine': 'pull', 'hub/never/pulled': '' }],
])('%s on %s', (role, on, expected) => {
  beforeAll(async () => {
    ids.grant = await people.grant({ user: 'ann' }, role, on)
  })
  afterAll(() => people.ask('admin', 'delete', `/grants/${ids.grant}`).expect(204))

  test.each(Object.entries(expected))('gives under %s: %j', async (basePath, actions) => {
    expect(await under('ann', basePath)).toBe(actions)
  })
})

test('to push takes the right on the distribution and on the repository that it serves', async () => {
  await people.grant({ user: 'bob' }, 'pusher', 'distribution:prod/app')
  expect(await under('bob', 'prod/app')).toBe('pull')
  await people.grant({ user: 'bob' }, 'pusher', 'repository:team/app')
  expect(await under('bob', 'prod/app')).toBe('pull,push')
  expect(await under('bob', 'team/app')).toBe('')
})

test('where nothing is served a push takes repository.create too', async () => {
  await people.make('/roles', { name: 'only-push', verbs: ['pull', 'push'] })
  await people.grant({ user: 'cleo' }, 'only-push', 'team/*')
  expect(await under('cleo', 'team/app')).toBe('pull,push')
  expect(await under('cleo', 'team/new')).toBe('pull')
  expect(await under('cleo', 'team/unserved')).toBe('pull')
})

test('owners have their rights without a grant, and at once', async () => {
  const ownerId = await idOf('dora')
  const repositoryId = await people.told({ kind: 'repository', name: 'doras/app', ownerId })
  const id = await people.told({ kind: 'distribution', name: 'doras/app', repositoryId, ownerId })
  expect(await under('dora', 'doras/app')).toBe('pull,push,delete')
  expect(await under('ann', 'doras/app')).toBe('')
  // Of another owner by now.
  await people.told({ kind: 'distribution', id, name: 'doras/app', ownerId: null })
  expect(await under('dora', 'doras/app')).toBe('')
})

test('what a distribution serves counts as it was told last, and what is not known is covered by no pattern', async () => {
  await people.grant({ user: 'eve' }, 'pusher', 'moved/*')
  const repositoryId = await people.told({ kind: 'repository', name: 'moved/app' })
  const id = await people.told({ kind: 'distribution', name: 'moved/app', repositoryId })
  expect(await under('eve', 'moved/app')).toBe('pull,push')
  await people.told({ kind: 'distribution', id, name: 'moved/app', repositoryId: ids.repository ?? '' })
  expect(await under('eve', 'moved/app')).toBe('pull')
  await people.told({
    kind: 'distribution',
    id,
    name: 'moved/app',
    repositoryId: '00000000-0000-4000-8000-00000000dead',
  })
  expect(await under('eve', 'moved/app')).toBe('pull')
})

test('the catalog may be listed with every login, and without one not', async () => {
  expect(await people.granted('finn', 'registry:catalog:*')).toBe('registry:catalog:*')
  expect(await people.granted('finn', 'registry:catalog:pull', 'registry:other:*', 'plugin:catalog:*')).toBe('')
  expect(await people.granted('admin', 'registry:catalog:*')).toBe('registry:catalog:*')
  const { token } = (await (await fetch(`${people.url}/token?scope=registry:catalog:*`)).json()) as { token: string }
  expect(JSON.parse(atob(token.split('.')[1] ?? '')).access).toEqual([])
})

test('of several scopes each is decided by itself, in the order asked, and one name twice is one', async () => {
  await people.grant({ user: 'finn' }, 'pusher', 'team/*')
  const scopes = [
    'repository:team/app:pull repository:other/app:pull,push',
    'repository:team/new:push',
    'repository:team/app:push',
  ]
  expect(await people.granted('finn', ...scopes)).toBe('repository:team/app:pull,push repository:team/new:push')
  const many = Array.from({ length: 300 }, (_, n) => `repository:team/app-${n}:pull`)
  expect((await people.granted('finn', ...many)).length).toBeLessThan(8_000)
})

describe('a token opens the API', () => {
  const statusWith = async (who: string, query: string) => {
    const headers = { authorization: basic(login(who)) }
    const { token } = (await (await fetch(`${people.url}/token${query}`, { headers })).json()) as { token: string }
    return (await fetch(`${people.url}/api/v1/me`, { headers: { authorization: `Bearer ${token}` } })).status
  }
  test.each(['', '?scope=', '?service=berth', '?scope=&scope=%20'])(
    'that was asked for without a scope: %j',
    async (query) => {
      expect(await statusWith('ann', query)).toBe(200)
    },
  )
  test.each([
    '?scope=repository:other/app:pull',
    '?scope=repository:team/app:pull',
    '?scope=nonsense',
    '?scope=registry:catalog:*',
  ])('and not one that was asked for with one, whatever was granted: %s', async (query) => {
    expect([await statusWith('ann', query), await statusWith('admin', query)]).toEqual([401, 401])
  })
})

test('what Basic credentials allow is decided as for a token', async () => {
  const wanted = [
    { type: 'repository', name: 'team/app', actions: ['pull', 'push', 'delete'] },
    { type: 'registry', name: 'catalog', actions: ['*'] },
  ]
  const asked = { authorization: basic(login('finn')), ip: '192.0.2.1', wanted }
  const { principal, access } = await people.auth.call('decide-access', asked)
  // What may be pushed is for the repository that is served there.
  const repository = expect.stringMatching(/^[0-9a-f-]{36}$/)
  expect(access).toEqual([{ ...wanted[0], actions: ['pull', 'push'], repository }, wanted[1]])
  expect(principal).toMatchObject({ name: 'finn', admin: false, rights: { grants: [{ prefix: 'team/' }] } })
})

test('which of some accounts may not pull is told by their rights', async () => {
  const { accounts } = await people.auth.call('find-accounts', { names: ['finn', 'eve', 'admin', 'nobody', 'dora'] })
  expect(accounts.map(({ name }) => name).sort()).toEqual(['admin', 'dora', 'eve', 'finn'])
  const gone = { id: crypto.randomUUID(), name: 'gone' }
  const all = [...accounts, gone]
  const denied = async (basePath: string) => {
    const { ids } = await people.auth.call('list-denied-pulls', { ids: all.map(({ id }) => id), basePath })
    return all.flatMap(({ id, name }) => (ids.includes(id) ? [name] : [])).sort()
  }
  expect(await denied('team/app')).toEqual(['dora', 'eve', 'gone'])
  expect(await denied('moved/new')).toEqual(['dora', 'finn', 'gone'])
})

test('the rights of an account are told in one epoch of it, and of a robot without an owner', async () => {
  const accountId = await idOf('finn')
  const told = await people.auth.call('grants-of', { accountId, epoch: 0 })
  expect(told).toMatchObject({ isActive: true, rights: { accountId, grants: [{ prefix: 'team/' }] } })
  const none = { isActive: false, rights: { accountId: null, grants: [] } }
  expect(await people.auth.call('grants-of', { accountId, epoch: 1 })).toEqual(none)
  expect(await people.auth.call('grants-of', { accountId: crypto.randomUUID(), epoch: 0 })).toEqual(none)
  const { id } = await people.make('/robots', { name: 'ci' })
  expect(await people.auth.call('grants-of', { accountId: id, epoch: 0 })).toEqual({ ...none, isActive: true })
})
