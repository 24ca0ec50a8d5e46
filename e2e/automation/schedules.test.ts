import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { apiAs, grant, makeRobot, makeUser } from '../access/people.ts'
import { query } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { pushBlob, pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make } from '../berth/requests.ts'
import { byItself } from '../berth/stack.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'

const stack = withBerth({ own: true, env: byItself(86_400) })
const upstream = withUpstream()
const enc = encodeURIComponent
let count = 0
let ann: Login
const admin = (): Login => ({ user: stack.user, password: stack.password })

type Run = { id: string; state: string; task: string | null; error: { code: string; message: string } | null }
const runsOf = async (name: string): Promise<Run[]> =>
  (await stack.api('GET', `/schedules/${enc(name)}/runs`)).body.items
const show = async (name: string) => (await stack.api('GET', `/schedules/${enc(name)}`)).body
/** Has a schedule be due so many seconds ago, as if the time had come. */
const due = (name: string, secondsAgo = 1) =>
  query(
    stack.databaseUrl ?? '',
    'update tasks.schedule set next_at = now() - make_interval(secs => $2) where name = $1',
    [name, secondsAgo],
  )
const untilRuns = (name: string, ...states: string[]) =>
  until(`the runs of ${name} are ${states.join()}`, async () => {
    const runs = await runsOf(name)
    return runs.map(({ state }) => state).join() === states.join() ? runs : undefined
  })

beforeAll(async () => {
  ann = await makeUser(stack, 'ann')
  await grant(stack, { user: 'ann' }, 'owner', 'namespace:team')
}, 60_000)

/** A mirror in ann's namespace and what has to be said to sync it. */
async function mirror(): Promise<{ repository: string; remote: string; upstreamName: string }> {
  const n = ++count
  const upstreamName = `schedules/up-${n}`
  upstream.add(upstreamName, 'latest', imageOf(upstreamName, 500))
  const remote = `team/hub-${n}`
  await make(stack, '/remotes', localRemote(remote, upstream.url, upstreamName, { retries: 0 }))
  const repository = `team/mirror-${n}`
  await make(stack, '/repositories', { name: repository })
  return { repository, remote, upstreamName }
}
async function schedule(more: object, login = ann): Promise<string> {
  const name = `team/schedule-${++count}`
  const made = await apiAs(stack, login, 'POST', '/schedules', { name, cron: '@yearly', ...more })
  expect({ status: made.status, body: made.body }).toMatchObject({ status: 201 })
  return name
}
/** Has a robot come to its end, as its time would. */
const vanish = ({ user }: Login) =>
  query(
    stack.databaseUrl ?? '',
    "update auth.robot set expires_at = now() - interval '1 second' where id = (select id from auth.holder where name = $1)",
    [user],
  )
/** Holds the requests for the tags of an upstream until the answered function is called. */
function hold(upstreamName: string): { reached: Promise<void>; letGo: () => void } {
  const reached = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  upstream.when(new RegExp(`${upstreamName}/tags`), ({ behave }) => {
    reached.resolve()
    held.promise.then(behave, behave)
  })
  return {
    reached: reached.promise,
    letGo: () => {
      held.resolve()
      upstream.mend()
    },
  }
}

test('when it is due a schedule does what it is for, once, and says when it is due next', async () => {
  const { repository, remote } = await mirror()
  const name = await schedule({
    cron: '30 2 * * *',
    timeZone: 'Europe/Berlin',
    kind: 'sync',
    parameters: { repository, remote },
  })
  const before = await show(name)
  expect(before).toMatchObject({ runAs: 'ann', lastRun: null, paused: false })
  expect(new Date(before.nextRun).getTime()).toBeGreaterThan(Date.now())
  await due(name)
  const [run] = await untilRuns(name, 'completed')
  const task = (await apiAs(stack, ann, 'GET', `/tasks/${run?.task}`)).body
  expect(task).toMatchObject({ kind: 'sync', state: 'completed', result: { created: true } })
  expect(await show(name)).toMatchObject({ nextRun: before.nextRun, lastRun: { state: 'completed', task: run?.task } })
})

test('started by hand it runs now, also while it is paused, and not twice at once', async () => {
  const { repository, remote, upstreamName } = await mirror()
  const name = await schedule({ kind: 'sync', parameters: { repository, remote }, paused: true })
  expect((await show(name)).nextRun).toBeNull()
  const { reached, letGo } = hold(upstreamName)
  expect((await apiAs(stack, ann, 'POST', `/schedules/${enc(name)}/run`)).status).toBe(202)
  await reached
  const again = await apiAs(stack, ann, 'POST', `/schedules/${enc(name)}/run`)
  expect([again.status, again.body.code]).toEqual([409, 'schedule_running'])
  letGo()
  await untilRuns(name, 'completed')
})

describe('a time that comes while the run before goes on', () => {
  test.each([
    ['skip', ['skipped', 'completed']],
    ['queue', ['completed', 'completed']],
  ])('with overlap %s', async (overlap, states) => {
    const { repository, remote, upstreamName } = await mirror()
    const name = await schedule({ kind: 'sync', parameters: { repository, remote }, overlap })
    const { reached, letGo } = hold(upstreamName)
    await due(name)
    await reached
    // Twice: what is queued is one, however often the time came.
    for (let times = 0; times < 2; times++) {
      await due(name)
      await until('the time was used', async () => new Date((await show(name)).nextRun).getTime() > Date.now())
    }
    letGo()
    await untilRuns(name, ...(overlap === 'skip' ? ['skipped', ...states] : states))
  })
})

describe('a time at which Berth did not run', () => {
  const missed = async (more: object, hours: number) => {
    const repository = `team/kept-${++count}`
    await make(stack, '/repositories', { name: repository })
    const name = await schedule({ kind: 'retention', parameters: { repository }, ...more })
    await due(name, hours * 3_600)
    await until('the time was used', async () => new Date((await show(name)).nextRun).getTime() > Date.now())
    return name
  }
  test('is made up once within a day', async () => {
    await untilRuns(await missed({ cron: '*/5 * * * *' }, 2), 'completed')
  })
  test('is not made up after a day, nor where it is to be skipped', async () => {
    for (const name of [await missed({}, 25), await missed({ missed: 'skip' }, 2)])
      expect(await runsOf(name)).toEqual([])
  })
})

test('a scheduler that is killed as the time comes leaves one run, of one task', async () => {
  const { repository, remote } = await mirror()
  const name = await schedule({ kind: 'sync', parameters: { repository, remote } })
  await due(name, 0)
  await stack.kill('SIGKILL')
  await stack.restart()
  const [run] = await untilRuns(name, 'completed')
  const { body } = await stack.api('GET', `/syncs?repository=${enc(repository)}`)
  expect(body.items.map(({ task }: { task: string }) => task)).toEqual([run?.task])
}, 60_000)

test('a change leaves what it does not name', async () => {
  const all = { cron: '30 2 * * *', timeZone: 'Europe/Berlin', overlap: 'queue', missed: 'skip', jitterSeconds: 60 }
  const name = await schedule({ ...all, kind: 'gc', parameters: { dryRun: true } }, admin())
  await stack.api('PATCH', `/schedules/${enc(name)}`, { paused: true })
  expect(await show(name)).toMatchObject({ ...all, paused: true })
})

test('work on the store ends when who started it may not do it any more, and what waits behind it does not begin', async () => {
  const bob = await makeUser(stack, 'bob')
  await stack.api('PATCH', '/users/bob', { admin: true })
  const target = { url: stack.url, authorization: basic(stack) }
  for (let n = 0; n < 20; n++) await pushBlob(target, 'team/cared', Buffer.alloc(2_000, n))
  const start = async (what: string, body: object) => {
    const { status, body: task } = await apiAs(stack, bob, 'POST', `/store/${what}`, body)
    expect({ status, task }).toMatchObject({ status: 202 })
    return task.id as string
  }
  const scrub = await start('scrub', { bytesPerSecond: 1024 })
  const waiting = [await start('gc', { graceSeconds: 0 }), await start('reclaim', {}), await start('repair', {})]
  await until('the scrub runs', async () => (await stack.api('GET', `/tasks/${scrub}`)).body.state === 'running')
  await stack.api('PATCH', '/users/bob', { admin: false })
  for (const id of [scrub, ...waiting])
    expect(await stack.waitForTask(id)).toMatchObject({ state: 'failed', error: { code: 'forbidden' } })
}, 60_000)

describe('what Berth does by itself is schedules', () => {
  test('of its own, which administrators see and change, and which nobody else can have done', async () => {
    const { items } = (await stack.api('GET', '/schedules')).body as { items: { name: string }[] }
    const own = items.filter(({ name }) => !name.includes('/'))
    expect(own.map(({ name }) => name)).toEqual(['collect', 'retain', 'scrub'])
    expect(own).toMatchObject(own.map(() => ({ runAs: 'system', runAsId: null, paused: false })))
    expect((await apiAs(stack, ann, 'GET', '/schedules/collect')).status).toBe(404)
    // Whoever may manage all schedules has not the rights of Berth by that.
    const cat = await makeUser(stack, 'cat')
    await stack.api('POST', '/roles', { name: 'planner', verbs: ['schedule.read', 'schedule.manage'] })
    await grant(stack, { user: 'cat' }, 'planner', '*')
    const asCat = async (method: string, path: string, body?: object) =>
      (await apiAs(stack, cat, method, path, body)).status
    expect(await asCat('GET', '/schedules/collect')).toBe(200)
    const parameters = { graceSeconds: 0 }
    expect(await asCat('PATCH', '/schedules/collect', { parameters })).toBe(403)
    expect(await asCat('POST', '/schedules/collect/run')).toBe(403)
    expect(await asCat('DELETE', '/schedules/collect')).toBe(403)
    const changed = await stack.api('PATCH', '/schedules/collect', { cron: '@daily', parameters })
    expect(changed.body).toMatchObject({ cron: '@daily', parameters, runAs: 'system', runAsId: null })
    const as = (runAs: string) => stack.api('PATCH', '/schedules/retain', { runAs })
    expect((await as('system')).body).toMatchObject({ status: 403, field: 'runAs' })
    expect((await stack.api('POST', '/users', { name: 'system', password: 'the password of nobody' })).status).toBe(400)
  })

  test('that do their work, beside what somebody asked for', async () => {
    const { body: slow } = await stack.api('POST', '/store/scrub', { bytesPerSecond: 1024 })
    for (const name of ['collect', 'retain', 'scrub']) {
      expect((await stack.api('POST', `/schedules/${name}/run`)).status).toBe(202)
      const [run] = await untilRuns(name, 'completed')
      const { body: task } = await stack.api('GET', `/tasks/${run?.task}`)
      const { items } = (await stack.api('GET', `/tasks/${run?.task}/log`)).body as { items: { message: string }[] }
      expect([name, task.state, items.at(-1)?.message]).toEqual([name, 'completed', 'completed'])
    }
    const { lastRun, lastScrub } = (await stack.api('GET', '/store')).body
    expect(lastRun).toMatchObject({ cause: 'interval', graceSeconds: 0, error: null })
    expect(lastScrub).toMatchObject({ damaged: 0, finishedAt: expect.any(String) })
    expect((await stack.api('GET', `/tasks/${slow.id}`)).body.state).toBe('running')
    await stack.api('POST', `/tasks/${slow.id}/cancel`)
  })

  test('of which one that comes every second is none for others', async () => {
    const body = { name: 'team/often', cron: '@every 1s', kind: 'gc' }
    expect((await stack.api('POST', '/schedules', body)).body).toMatchObject({ status: 400, field: 'cron' })
    expect((await stack.api('POST', '/schedules', { ...body, cron: '@every 60s', paused: true })).status).toBe(201)
  })
})

describe('a schedule has the rights that its account has', () => {
  test('and is refused what that account may not do, or what is no request', async () => {
    const { repository, remote } = await mirror()
    const refuse = async (more: object) => {
      const body = { name: `team/no-${++count}`, cron: '@daily', ...more }
      const refused = await apiAs(stack, ann, 'POST', '/schedules', body)
      return [refused.status, refused.body.code, refused.body.field ?? refused.body.missing?.verb]
    }
    await make(stack, '/repositories', { name: 'others/app' })
    const sync = { repository, remote }
    expect(await refuse({ kind: 'gc' })).toEqual([403, 'not_allowed', 'administer'])
    expect(await refuse({ kind: 'sync', parameters: { ...sync, repository: 'others/app' } })).toEqual([
      404,
      'repository_not_found',
      undefined,
    ])
    expect(await refuse({ kind: 'sync', parameters: { ...sync, mode: 'odd' } })).toEqual([
      422,
      'invalid_parameters',
      'parameters.mode',
    ])
    expect(await refuse({ kind: 'sync', parameters: { ...sync, more: 1 } })).toEqual([
      422,
      'invalid_parameters',
      'parameters.more',
    ])
    expect(await refuse({ kind: 'retention' })).toEqual([422, 'invalid_parameters', 'parameters.repository'])
    expect(await refuse({ kind: 'sync', parameters: sync, runAs: 'admin' })).toEqual([403, 'not_allowed', 'runAs'])
    expect(await refuse({ kind: 'sync', parameters: sync, cron: '0 25 * * *' })).toEqual([400, 'invalid_field', 'cron'])
    expect(await refuse({ kind: 'sync', parameters: sync, timeZone: 'Mars/Base' })).toEqual([
      400,
      'invalid_field',
      'timeZone',
    ])
    expect(await refuse({ kind: 'sync', parameters: sync, cron: '0 0 30 2 *' })).toEqual([400, 'invalid_field', 'cron'])
  })

  test('a robot that its maker manages does it, and what lost its right pauses with the reason', async () => {
    const robot = await makeRobot(stack, 'ci', 'team')
    await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'team/robots', '1')
    const kind = { kind: 'retention', parameters: { repository: 'team/robots' }, runAs: robot.user }
    const may = await grant(stack, { robot: robot.user }, 'maintainer', 'repository:team/robots')
    const name = await schedule(kind)
    await due(name)
    await untilRuns(name, 'completed')
    expect((await stack.api('DELETE', `/grants/${may}`)).status).toBe(204)
    await due(name)
    const [failed] = await untilRuns(name, 'failed', 'completed')
    expect(failed?.error).toMatchObject({ code: 'repository_not_found' })
    expect(await show(name)).toMatchObject({ paused: true, nextRun: null, pausedBecause: failed?.error?.message })
    // It goes on once that is mended, and says so.
    const goOn = () => apiAs(stack, ann, 'PATCH', `/schedules/${enc(name)}`, { paused: false })
    expect((await goOn()).status).toBe(404)
    await grant(stack, { robot: robot.user }, 'maintainer', 'repository:team/robots')
    expect((await goOn()).body).toMatchObject({ paused: false, pausedBecause: null, runAs: robot.user })
    await vanish(robot)
    await due(name)
    const [gone] = await untilRuns(name, 'failed', 'failed', 'completed')
    expect(gone?.error?.code).toBe('account_gone')
    expect((await show(name)).paused).toBe(true)
  })

  test('whoever says what is done answers for it: the rights of who made it are not borrowed', async () => {
    await make(stack, '/repositories', { name: 'others/secret' })
    const made = await stack.api('POST', '/schedules', {
      name: 'team/of-admin',
      cron: '@yearly',
      kind: 'retention',
      parameters: { repository: 'others/secret' },
    })
    expect(made.status).toBe(201)
    const change = (body: object) => apiAs(stack, ann, 'PATCH', '/schedules/team%2Fof-admin', body)
    expect((await change({ parameters: { repository: 'others/app' } })).status).toBe(404)
    expect((await change({ cron: '@daily' })).body).toMatchObject({ runAs: 'admin', cron: '@daily' })
    const own = await change({ parameters: { repository: 'team/robots' } })
    expect(own.body).toMatchObject({ runAs: 'ann', parameters: { repository: 'team/robots' } })
  })
})

describe('an account that schedules run as', () => {
  test('is deleted only when another one has them, which the caller may name', async () => {
    const [first, second] = [await makeRobot(stack, 'first', 'team'), await makeRobot(stack, 'second', 'team')]
    const outside = await makeRobot(stack, 'outside', 'others')
    await make(stack, '/repositories', { name: 'team/kept' })
    for (const { user } of [first, second]) await grant(stack, { robot: user }, 'maintainer', 'repository:team/kept')
    const kind = { kind: 'retention', parameters: { repository: 'team/kept' }, runAs: first.user }
    const name = await schedule(kind)
    await stack.api('POST', '/schedules', { name: 'others/unseen', cron: '@yearly', ...kind })
    const remove = (to?: string) => {
      const query = to === undefined ? '' : `?transferTo=${enc(to)}`
      return apiAs(stack, ann, 'DELETE', `/robots/${enc(first.user)}${query}`)
    }
    const { body } = await remove()
    expect(body).toMatchObject({ status: 409, code: 'account_in_use', schedules: [name] })
    expect(body.detail).toContain(`${name}, 1 others`)
    expect((await remove(first.user)).body).toMatchObject({ status: 400, field: 'transferTo' })
    expect((await remove('admin')).body).toMatchObject({ status: 403, field: 'transferTo' })
    expect((await remove(outside.user)).body).toMatchObject({ status: 403, field: 'transferTo' })
    expect((await remove('team/nobody')).status).toBe(403)
    expect(await show(name)).toMatchObject({ runAs: first.user })
    expect((await remove(second.user)).status).toBe(204)
    expect(await show(name)).toMatchObject({ runAs: second.user, paused: false })
    const { items } = (await stack.api('GET', `/audit?action=deleteRobot&result=done&object=${enc(first.user)}`)).body
    const told = { actor: { name: 'ann' }, detail: `schedules run as ${second.user}` }
    expect(items).toMatchObject([
      { ...told, service: 'auth' },
      { ...told, service: 'tasks' },
    ])
    await due(name)
    await untilRuns(name, 'completed')
    expect((await remove()).status).toBe(404)
  })

  test('of a person too, whose schedules an administrator gives to anybody', async () => {
    const dan = await makeUser(stack, 'dan')
    await grant(stack, { user: 'dan' }, 'owner', 'namespace:team')
    await make(stack, '/repositories', { name: 'team/of-dan' })
    const name = await schedule({ kind: 'retention', parameters: { repository: 'team/of-dan' } }, dan)
    expect((await stack.api('DELETE', '/users/dan')).body).toMatchObject({ status: 409, schedules: [name] })
    expect((await stack.api('DELETE', '/users/dan?transferTo=nobody')).body).toMatchObject({ field: 'transferTo' })
    expect((await stack.api('DELETE', '/users/dan?transferTo=ann')).status).toBe(204)
    expect(await show(name)).toMatchObject({ runAs: 'ann', paused: false })
    expect((await stack.api('DELETE', '/users/bob')).status).toBe(204)
  })
})
