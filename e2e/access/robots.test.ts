import { beforeAll, expect, test } from '@jest/globals'
import { pushRandomImage, send } from '../berth/push.ts'
import { basic, make, manifestTypes } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { apiAs, basicOf, grant, grantedUnder, makeRobot, makeUser, tokenFor } from './people.ts'

const berth = withBerth()
const team = 'access-robots'
let ci: Login

beforeAll(async () => {
  await pushRandomImage({ url: berth.url, authorization: basic(berth) }, `${team}/app`, '1')
  await pushRandomImage({ url: berth.url, authorization: basic(berth) }, 'access-others/app', '1')
  ci = await makeRobot(berth, 'ci', team)
  await grant(berth, { robot: `${team}/ci` }, 'pusher', `namespace:${team}`)
}, 90_000)

/** GET of a manifest with an Authorization header, and what comes of it. */
const pull = async (authorization: string, repository = `${team}/app`) => {
  const headers = { authorization, accept: manifestTypes }
  return (await fetch(`${berth.url}/v2/${repository}/manifests/1`, { headers })).status
}

test('Basic and a token open the same on /v2, and no more', async () => {
  const authorization = basicOf(ci)
  await pushRandomImage({ url: berth.url, authorization }, `${team}/basic`, '1')
  const repository = `${team}/token`
  const token = await tokenFor(berth, ci, `repository:${repository}:pull,push`, 'repository:access-others/app:pull')
  await pushRandomImage({ url: berth.url, authorization: `Bearer ${token}` }, repository, '1')
  expect([await pull(authorization), await pull(authorization, 'access-others/app')]).toEqual([200, 403])
  expect([await pull(`Bearer ${token}`, repository), await pull(`Bearer ${token}`, 'access-others/app')]).toEqual([
    200, 401,
  ])
  // It pushes, and does not delete.
  const path = `/v2/${repository}/manifests/1`
  await send({ url: berth.url, authorization }, 'DELETE', path, 403)
  await send({ url: berth.url, authorization: `Bearer ${token}` }, 'DELETE', path, 401)
  await pushRandomImage({ url: berth.url, authorization: basic(berth) }, 'access-others/app', '2')
  await expect(pushRandomImage({ url: berth.url, authorization }, 'access-others/app', '3')).rejects.toThrow(
    /403.*DENIED/,
  )
})

test('what a robot sees of the API is what it was granted', async () => {
  const { status, body } = await apiAs(berth, ci, 'GET', '/repositories?limit=1000')
  expect(status).toBe(200)
  const names = body.items.map(({ name }: { name: string }) => name) as string[]
  expect(names).toContain(`${team}/app`)
  expect(names.filter((name) => !name.startsWith(`${team}/`))).toEqual([])
  const hidden = await apiAs(berth, ci, 'GET', '/repositories/access-others%2Fapp')
  expect(hidden.status).toBe(404)
  const catalog = await fetch(`${berth.url}/v2/_catalog?n=1000`, {
    headers: { authorization: `Bearer ${await tokenFor(berth, ci, 'registry:catalog:*')}` },
  })
  const { repositories } = (await catalog.json()) as { repositories: string[] }
  expect(repositories).toContain(`${team}/app`)
  expect(repositories.filter((name) => name.startsWith('access-others'))).toEqual([])
})

test('after a rotation both secrets pull until the overlap is over, and without one only the new does', async () => {
  const path = `/robots/${encodeURIComponent(`${team}/turning`)}`
  const first = await makeRobot(berth, 'turning', team)
  await grant(berth, { robot: first.user }, 'puller', `namespace:${team}`)
  const rotate = async (overlapSeconds: number) => {
    const { status, body } = await berth.api('POST', `${path}/rotate`, { overlapSeconds })
    expect(status).toBe(200)
    return { user: first.user, password: body.secret as string }
  }
  const second = await rotate(600)
  expect([await pull(basicOf(first)), await pull(basicOf(second))]).toEqual([200, 200])
  const token = await tokenFor(berth, first, `repository:${team}/app:pull`)
  const third = await rotate(0)
  expect(await Promise.all([first, second, third].map((login) => pull(basicOf(login))))).toEqual([401, 401, 200])
  await expect(tokenFor(berth, second)).rejects.toThrow('401')
  // What was issued for /v2 ends by itself, within five minutes.
  expect(await pull(`Bearer ${token}`)).toBe(200)
  const gone = await berth.api('DELETE', path)
  expect([gone.status, await pull(basicOf(third))]).toEqual([204, 401])
})

test('who leaves a group, and whose group is deleted, has lost with the next token what came by it', async () => {
  const [ann, bob] = [await makeUser(berth, 'access-ann'), await makeUser(berth, 'access-bob')]
  await make(berth, '/groups', { name: 'access-web', members: [ann.user, bob.user] })
  await grant(berth, { group: 'access-web' }, 'pusher', `${team}/*`)
  const under = () => Promise.all([ann, bob].map((login) => grantedUnder(berth, login, `${team}/app`)))
  expect(await under()).toEqual(['pull,push', 'pull,push'])
  await berth.api('PATCH', '/groups/access-web', { members: [bob.user] })
  expect(await under()).toEqual(['', 'pull,push'])
  expect([await pull(basicOf(ann)), await pull(basicOf(bob))]).toEqual([403, 200])
  await berth.api('DELETE', '/groups/access-web')
  expect(await under()).toEqual(['', ''])
  expect(await pull(basicOf(bob))).toBe(403)
})
