import { hang, imageOf, status } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { localRemote, make, startSync, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { apiAs, basicOf, grant, makeUser } from './people.ts'

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

describe('a sync goes by the rights of who started it at the moment', () => {
  const team = 'runs-rights'
  const mirror = (n: number) => `${team}/mirror-${n}`
  let starter: Login
  let given: string[]
  beforeAll(async () => {
    starter = await makeUser(berth, 'runs-starter')
    upstream.add('runs/rights', 'latest', imageOf('rights', 1_000))
    await make(berth, '/remotes', localRemote(`${team}/hub`, upstream.url, 'runs/rights', { retries: 0 }))
    given = [
      await grant(berth, { user: starter.user }, 'pusher', `${team}/*`),
      await grant(berth, { user: starter.user }, 'maintainer', `remote:${team}/hub`),
    ]
  })
  const start = async (repositoryName: string) => {
    const body = { repository: repositoryName, remote: `${team}/hub` }
    const { status: answered, body: task } = await apiAs(berth, starter, 'POST', '/syncs', body)
    expect(answered).toBe(202)
    return task.id as string
  }

  test('lost while the run is under way, nothing of it becomes visible', async () => {
    await make(berth, '/repositories', { name: mirror(1) })
    const held = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    upstream.when(/blobs/, ({ behave }) => {
      reached.resolve()
      held.promise.then(behave, behave)
    })
    const id = await start(mirror(1))
    await reached.promise
    expect((await berth.api('DELETE', `/grants/${given[0]}`)).status).toBe(204)
    held.resolve()
    const task = await berth.waitForTask(id)
    upstream.mend()
    expect(task).toMatchObject({
      state: 'failed',
      error: { code: 'forbidden', message: expect.stringContaining('push') },
    })
    const { body } = await berth.api('GET', `/repositories/${encodeURIComponent(mirror(1))}`)
    expect(body.latestVersion).toBe(0)
    given[0] = await grant(berth, { user: starter.user }, 'pusher', `${team}/*`)
  })

  test('lost before it begins, upstream is not asked; who was deleted has lost all', async () => {
    await make(berth, '/repositories', { name: mirror(2) })
    const gate = await holdBack(mirror(2))
    const id = await start(mirror(2))
    const asked = upstream.seen.length
    expect((await berth.api('DELETE', `/users/${starter.user}`)).status).toBe(204)
    await gate()
    expect(await berth.waitForTask(id)).toMatchObject({ state: 'failed', error: { code: 'forbidden' } })
    expect(upstream.seen.slice(asked).filter(({ path }) => path.includes('runs/rights'))).toEqual([])
  })

  /** Keeps a repository busy by another sync, which ends when the answered function is called. */
  async function holdBack(name: string): Promise<() => Promise<void>> {
    const slow = `${name}-source`
    const held = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    upstream.add(slow, 'latest', imageOf(slow, 500))
    upstream.when(new RegExp(`${slow}/tags`), ({ behave }) => {
      reached.resolve()
      held.promise.then(behave, behave)
    })
    await make(berth, '/remotes', localRemote(slow, upstream.url, slow, { retries: 0 }))
    const task = await startSync(berth, name, slow)
    await reached.promise
    return async () => {
      held.resolve()
      await berth.waitForTask(task.id)
      upstream.mend()
    }
  }
})

test('the stream of a task ends for a reader that has lost its right or its login, and for no other', async () => {
  const watchers = await Promise.all(['runs-leaves', 'runs-ends', 'runs-stays'].map((name) => makeUser(berth, name)))
  const grants = await Promise.all(
    watchers.map(async ({ user }) => {
      await grant(berth, { user }, 'puller', `remote:${remote}`)
      return grant(berth, { user }, 'puller', `repository:${repository}`)
    }),
  )
  upstream.when(/runs\/up/, hang)
  const { id } = await startSync(berth, repository, remote)
  const streams = await Promise.all(
    watchers.map(async (login) => {
      const headers = { authorization: basicOf(login) }
      const answer = await fetch(`${berth.url}/api/v1/tasks/${id}/events`, { headers })
      expect(answer.status).toBe(200)
      return { text: answer.text() }
    }),
  )
  expect((await berth.api('DELETE', `/grants/${grants[0]}`)).status).toBe(204)
  expect((await berth.api('PATCH', `/users/${watchers[1]?.user}`, { active: false })).status).toBe(200)
  const [left, ended, stayed] = streams
  for (const stream of [left, ended]) expect(await stream?.text).not.toMatch(/"state":"(failed|cancelled|completed)"/)
  upstream.mend()
  await berth.api('POST', `/tasks/${id}/cancel`)
  expect(await stayed?.text).toContain('"state":"cancelled"')
})
