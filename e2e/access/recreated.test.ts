import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make, manifestTypes, repositoryPath } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { apiAs, basicOf, grant, grantedUnder, makeRobot, makeUser, tokenFor } from './people.ts'

const berth = withBerth()
const upstream = withUpstream()

type Account = { id: string; login: Login }
/** A user or a robot, and what of Berth it has begun. */
type Kind = {
  kind: 'user' | 'robot'
  team: string
  make: () => Promise<Login>
  list: string
  path: string
}

const kinds: Kind[] = [
  {
    kind: 'user',
    team: 'again-user',
    make: () => makeUser(berth, 'again-ann'),
    list: '/users?limit=1000',
    path: '/users/again-ann',
  },
  {
    kind: 'robot',
    team: 'again-robot',
    make: () => makeRobot(berth, 'ci', 'again-robot'),
    list: '/robots?limit=1000',
    path: '/robots/again-robot%2Fci',
  },
]

describe.each(kinds)('another $kind of the same name', ({ kind, team, make: makeAccount, list, path }) => {
  const repository = `${team}/app`
  let old: Account
  let young: Account
  let task: string
  let run: string
  let uploads: string[]
  let refreshToken: string
  let apiToken: string
  let scopedToken: string

  const made = async (): Promise<Account> => {
    const login = await makeAccount()
    const { body } = await berth.api('GET', list)
    return { login, id: body.items.find(({ name }: { name: string }) => name === login.user).id }
  }
  const mayMaintain = () => grant(berth, { [kind]: old.login.user }, 'maintainer', `namespace:${team}`)
  const send = (login: string, method: string, url: string, body?: string) =>
    fetch(new URL(url, berth.url), { method, headers: { authorization: login }, ...(body ? { body } : {}) })
  /** Begins an upload, and sends a byte of it where that is said. */
  const beginUpload = async (login: string, body?: string): Promise<string> => {
    const begun = await send(login, 'POST', `/v2/${repository}/blobs/uploads/`)
    expect(begun.status).toBe(202)
    const url = begun.headers.get('location') ?? ''
    if (body) expect((await send(login, 'PATCH', url, body)).status).toBe(202)
    return url
  }
  const pullThrough = (tag: string) =>
    fetch(`${berth.url}/v2/${team}-hub/library/a/manifests/${tag}`, {
      headers: { authorization: basicOf(young?.login ?? old.login), accept: manifestTypes },
    })

  beforeAll(async () => {
    for (const tag of ['1', '2']) upstream.add('library/a', tag, imageOf(`${team} ${tag}`, 1_000))
    await make(berth, '/remotes', localRemote(team, upstream.url, 'library/a'))
    await make(berth, '/remotes', { ...localRemote(`${team}-hub`, upstream.url, ''), upstreamName: null })
    old = await made()
    await mayMaintain()
    const login = basicOf(old.login)
    await pushRandomImage({ url: berth.url, authorization: login }, repository, '1')
    const names = { name: `${team}-hub`, basePath: `${team}-hub`, access: 'public' }
    const trigger = [old.login.user]
    await make(berth, '/distributions', { ...names, pullThrough: { remote: `${team}-hub`, trigger } })
    expect((await pullThrough('1')).status).toBe(200)

    const sync = await apiAs(berth, old.login, 'POST', '/syncs', { repository, remote: team })
    expect(sync.status).toBe(202)
    task = sync.body.id
    await berth.waitForTask(task)
    const { body: runs } = await apiAs(berth, old.login, 'GET', `/syncs?repository=${encodeURIComponent(repository)}`)
    run = runs.items[0].id

    uploads = [await beginUpload(login, 'x'), await beginUpload(login)]
    apiToken = await tokenFor(berth, old.login)
    scopedToken = await tokenFor(berth, old.login, `repository:${repository}:pull,push`)
    const offline = await send(login, 'GET', '/token?service=berth&offline_token=true')
    refreshToken = ((await offline.json()) as { refresh_token?: string }).refresh_token ?? 'none'

    expect((await berth.api('DELETE', path)).status).toBe(204)
    young = await made()
    expect(young.id).not.toBe(old.id)
  }, 90_000)

  test('has nothing that was granted to the first, and owns nothing of it', async () => {
    expect((await apiAs(berth, young.login, 'GET', repositoryPath(repository))).status).toBe(404)
    expect(await grantedUnder(berth, young.login, repository)).toBe('')
    const { body } = await berth.api('GET', `/grants?to=${kind}:${encodeURIComponent(young.login.user)}`)
    expect(body.items).toEqual([])
  })

  test('sees no task and no run of the first, and cancels none', async () => {
    for (const which of ['/tasks?limit=1000', '/syncs?limit=1000'])
      expect((await apiAs(berth, young.login, 'GET', which)).body.items).toEqual([])
    for (const [method, one] of [
      ['GET', `/tasks/${task}`],
      ['POST', `/tasks/${task}/cancel`],
      ['GET', `/tasks/${task}/events`],
      ['GET', `/syncs/${run}`],
    ] as const)
      expect([one, (await apiAs(berth, young.login, method, one)).status]).toEqual([one, 404])
  })

  test('logs in with nothing that was issued to the first', async () => {
    const bearer = await send(`Bearer ${apiToken}`, 'GET', '/api/v1/me')
    const refresh = await send(basicOf({ user: '<token>', password: refreshToken }), 'GET', '/token?service=berth')
    expect([bearer.status, refresh.status]).toEqual([401, 401])
    if (kind === 'robot') expect((await send(basicOf(old.login), 'GET', '/v2/')).status).toBe(401)
  })

  test('has nothing fetched because the first was named', async () => {
    const answer = await pullThrough('2')
    expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining('may not have it fetched')])
  })

  test('finds no upload of the first, nor the first with a token that has not run out one of it', async () => {
    await mayMaintain()
    const login = basicOf(young.login)
    for (const url of uploads)
      for (const method of ['GET', 'PATCH', 'DELETE'])
        expect([method, (await send(login, method, url, method === 'PATCH' ? 'y' : undefined)).status]).toEqual([
          method,
          404,
        ])
    const own = await beginUpload(login, 'x')
    expect((await send(`Bearer ${scopedToken}`, 'GET', own)).status).toBe(404)
    expect((await send(login, 'GET', own)).status).toBe(204)
  })

  test('is told from the first by the id beside its name', async () => {
    await pushRandomImage({ url: berth.url, authorization: basicOf(young.login) }, repository, '2')
    const { body } = await berth.api('GET', `${repositoryPath(repository)}/versions`)
    const by = body.items.map(({ createdBy, createdById }: Record<string, string>) => [createdBy, createdById])
    const name = old.login.user
    expect([by[0], by.at(-1)]).toEqual([
      [name, young.id],
      [name, old.id],
    ])
  })
})

test('another group of the same name has nothing that was granted to the first', async () => {
  const login = await makeUser(berth, 'again-member')
  await pushRandomImage({ url: berth.url, authorization: basic(berth) }, 'again-group/app', '1')
  const group = { name: 'again-group', members: [login.user] }
  await make(berth, '/groups', group)
  await grant(berth, { group: group.name }, 'puller', 'namespace:again-group')
  expect(await grantedUnder(berth, login, 'again-group/app')).toBe('pull')
  expect((await berth.api('DELETE', `/groups/${group.name}`)).status).toBe(204)
  await make(berth, '/groups', group)
  expect(await grantedUnder(berth, login, 'again-group/app')).toBe('')
})
