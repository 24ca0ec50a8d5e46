import { imageOf, status } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, expect, test } from '@jest/globals'
import { localRemote, make, startSync, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { apiAs, grant, makeUser } from './people.ts'

const berth = withBerth()
const upstream = withUpstream()
const repository = 'runs-team/mirror'
const remote = 'runs-hub'
let reader: Login
let keeper: Login
let user: Login

beforeAll(async () => {
  ;[reader, keeper, user] = [
    await makeUser(berth, 'runs-reader'),
    await makeUser(berth, 'runs-keeper'),
    await makeUser(berth, 'runs-user'),
  ]
  upstream.add('runs/up', 'latest', imageOf('runs', 1_000))
  const { host } = new URL(upstream.url)
  await make(berth, '/remotes', localRemote(remote, `http://${host}`, 'runs/up', { retries: 0 }))
  await make(berth, '/repositories', { name: repository })
  await grant(berth, { user: reader.user }, 'puller', `repository:${repository}`)
  await grant(berth, { user: keeper.user }, 'maintainer', `repository:${repository}`)
  await grant(berth, { user: user.user }, 'maintainer', `repository:${repository}`)
  await grant(berth, { user: user.user }, 'maintainer', `remote:${remote}`)
}, 60_000)

test('who may see a repository sees its runs, and where they fetched from only with the remote', async () => {
  const good = await sync(berth, repository, remote)
  upstream.when(/runs\/up/, status(500))
  const bad = await startSync(berth, repository, remote)
  await berth.waitForTask(bad.id)
  upstream.mend()
  const { host } = new URL(upstream.url)
  const runsOf = async (login: Login) => {
    const { body } = await apiAs(berth, login, 'GET', `/syncs?repository=${encodeURIComponent(repository)}`)
    const shown = await Promise.all(
      body.items.map(async ({ id }: { id: string }) => (await apiAs(berth, login, 'GET', `/syncs/${id}`)).body),
    )
    expect(shown).toEqual(body.items)
    return body.items as { task: string; remote: string | null; state: string; error: { code: string } | null }[]
  }
  const seen = await runsOf(user)
  expect(seen).toMatchObject([
    { task: bad.id, remote, state: 'failed' },
    { task: good.id, remote, state: 'completed' },
  ])
  expect(JSON.stringify(seen)).toContain(host)
  for (const login of [reader, keeper]) {
    const runs = await runsOf(login)
    expect(runs).toMatchObject([
      { task: bad.id, remote: null, upstreamName: null, state: 'failed', error: { code: seen[0]?.error?.code } },
      { task: good.id, remote: null, state: 'completed' },
    ])
    expect(JSON.stringify(runs)).not.toMatch(new RegExp(`${host}|${remote}|runs/up`))
  }
})

test('a task is seen by who may read the repository and the remote, and cancelled by who may update tasks of both', async () => {
  const { id } = await sync(berth, repository, remote)
  const statusFor = async (login: Login) => (await apiAs(berth, login, 'GET', `/tasks/${id}`)).status
  expect([await statusFor(reader), await statusFor(keeper), await statusFor(user)]).toEqual([404, 404, 200])
  await grant(berth, { user: reader.user }, 'puller', `remote:${remote}`)
  expect(await statusFor(reader)).toBe(200)
  const cancel = async (login: Login) => (await apiAs(berth, login, 'POST', `/tasks/${id}/cancel`)).status
  // It has ended: who may cancel is told that.
  expect([await cancel(reader), await cancel(keeper), await cancel(user)]).toEqual([403, 404, 409])
})
