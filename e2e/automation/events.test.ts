import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { apiAs, grant, makeUser } from '../access/people.ts'
import { query } from '../berth/databases.ts'
import { embeddedNats } from '../berth/events.ts'
import { until } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { findProgram } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { type Listening, listenAs } from './server-sent.ts'

const example = fileURLToPath(new URL('../../examples/sync-subscriber/', import.meta.url))
const go = findProgram('go')
// Its modules come from the network the first time.
const isThere = go !== undefined && spawnSync(go, ['mod', 'download'], { cwd: example }).status === 0
const describeExample = isThere ? describe : describe.skip
const stack = withBerth({ own: true })
const upstream = withUpstream()
let [admin, ann, bob, reader]: Login[] = []
const open: Listening[] = []
const listen = async (login: Login | undefined, path = '/events', lastEventId?: string) => {
  const listening = await listenAs(stack, login as Login, path, lastEventId)
  open.push(listening)
  return listening
}
const typesOf = ({ heard }: Listening) => heard.map(({ event }) => event.replace(/^dev\.berth\.|\.v1$/g, ''))

beforeAll(async () => {
  admin = { user: stack.user, password: stack.password }
  ;[ann, bob, reader] = await Promise.all(['ann', 'bob', 'reader'].map((name) => makeUser(stack, name)))
  await grant(stack, { user: 'ann' }, 'owner', 'namespace:team')
  await grant(stack, { user: 'reader' }, 'puller', 'namespace:team')
  await grant(stack, { user: 'bob' }, 'owner', 'namespace:other')
}, 60_000)
afterEach(() => {
  for (const listening of open.splice(0)) listening.stop()
})

test('everybody hears of what happens to the objects that they may see, and of no others', async () => {
  const [all, anns, bobs] = await Promise.all([admin, ann, bob].map((login) => listen(login)))
  await make(stack, '/repositories', { name: 'team/seen' })
  await make(stack, '/repositories', { name: 'other/seen' })
  await make(stack, '/users', { name: 'carl', password: 'a password of carl' })
  await bobs?.untilHeard('catalog.repository.created', ({ name }) => name === 'other/seen')
  await anns?.untilHeard('catalog.repository.created', ({ name }) => name === 'team/seen')
  await all?.untilHeard('auth.user.created', ({ name }) => name === 'carl')
  // What comes last for each is heard: nothing of before is still on its way.
  await stack.api('DELETE', '/repositories/team%2Fseen')
  await stack.api('DELETE', '/repositories/other%2Fseen')
  for (const one of [all, bobs])
    await one?.untilHeard('catalog.repository.deleted', ({ name }) => name === 'other/seen')
  await anns?.untilHeard('catalog.repository.deleted')
  const named = (listening: Listening | undefined) => new Set(listening?.heard.map(({ data }) => data.data.name))
  expect(named(anns)).toEqual(new Set(['team/seen']))
  expect(named(bobs)).toEqual(new Set(['other/seen']))
  expect(JSON.stringify(anns?.heard)).not.toContain('other')
  expect([...named(all)]).toEqual(expect.arrayContaining(['team/seen', 'other/seen', 'carl']))
  const ids = all?.heard.map(({ id }) => Number(id)) ?? []
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
})

test('whoever owns an object hears of it without any grant, also of its end', async () => {
  const given = await grant(stack, { user: 'bob' }, 'pusher', 'namespace:shared')
  const bobs = await listen(bob)
  const made = await apiAs(stack, bob as Login, 'POST', '/repositories', { name: 'shared/of-bob' })
  expect(made.status).toBe(201)
  expect((await stack.api('DELETE', `/grants/${given}`)).status).toBe(204)
  bobs.stop()
  const after = await listen(bob, `/events?after=${bobs.lastId()}&repositories=shared/*`)
  await stack.api('DELETE', '/repositories/shared%2Fof-bob')
  await after.untilHeard('catalog.repository.deleted', ({ name }) => name === 'shared/of-bob')
})

test('a reader that comes back with the last id misses nothing and hears nothing twice', async () => {
  const target = { url: stack.url, authorization: basic(stack) }
  const first = await listen(ann, '/events?events=catalog.version.created')
  await pushRandomImage(target, 'team/again', 'one')
  await first.untilHeard('catalog.version.created', ({ name }) => name === 'team/again')
  first.stop()
  for (const tag of ['two', 'three']) await pushRandomImage(target, 'team/again', tag)
  const second = await listen(ann, '/events?events=catalog.version.created', first.lastId())
  await pushRandomImage(target, 'team/again', 'four')
  await second.untilHeard('catalog.version.created', ({ number }) => number === 4)
  const numbers = [...first.heard, ...second.heard].map(({ data }) => data.data.number)
  expect(numbers).toEqual([1, 2, 3, 4])
})

test('what may not be used as a source is not told by the events of a sync, but to who started it', async () => {
  upstream.add('events/up', 'latest', imageOf('events/up', 500))
  await make(stack, '/remotes', localRemote('private/hub', upstream.url, 'events/up', { retries: 0 }))
  await make(stack, '/remotes', localRemote('private/broken', upstream.url, 'events/none', { retries: 0 }))
  const [anns, readers, bobs] = await Promise.all([ann, reader, bob].map((login) => listen(login)))
  await make(stack, '/repositories', { name: 'team/mirror' })
  await grant(stack, { user: 'ann' }, 'maintainer', 'namespace:private')
  const startSync = (remote: string) =>
    apiAs(stack, ann as Login, 'POST', '/syncs', { repository: 'team/mirror', remote })
  expect((await startSync('private/hub')).status).toBe(202)
  await anns?.untilHeard('sync.run.completed')
  expect((await startSync('private/broken')).status).toBe(202)
  const failed = await anns?.untilHeard('sync.run.failed')
  expect(failed?.data.data).toMatchObject({ remote: 'private/broken', repository: 'team/mirror' })
  expect(failed?.data.data.reason).toMatch(/events\/none/)
  const seen = await readers?.untilHeard('sync.run.failed')
  expect(seen?.data.data).toMatchObject({ remote: null, remoteId: null, reason: null, repository: 'team/mirror' })
  expect(JSON.stringify(readers?.heard)).not.toMatch(/private|127\.0\.0\.1|events\/none/)
  expect(typesOf(bobs as Listening)).toEqual([])
})

describeExample('the example subscriber, which knows of Berth what asyncapi.json says', () => {
  const folder = makeTemporaryFolder('subscriber')
  let child: ChildProcess | undefined
  const end = async (signal: NodeJS.Signals) => {
    if (child?.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }
  afterAll(async () => {
    await end('SIGKILL')
    removeFolder(folder)
  })

  test('tells each sync once, also those of the time in which it was killed', async () => {
    const binary = path.join(folder, 'subscriber')
    expect(spawnSync(go ?? '', ['build', '-o', binary, '.'], { cwd: example, encoding: 'utf8' }).stderr).toBe('')
    const told: string[] = []
    const start = () => {
      const { url, seed } = embeddedNats(stack.home)
      writeFileSync(path.join(folder, 'seed'), seed ?? '', { mode: 0o600 })
      const where = {
        NATS_URL: url,
        BERTH_READER_SEED_FILE: path.join(folder, 'seed'),
        STATE_FILE: path.join(folder, 'state'),
      }
      child = spawn(binary, { env: { ...process.env, ...where }, stdio: ['ignore', 'pipe', 'inherit'] })
      child.stdout?.on('data', (chunk) => told.push(...String(chunk).trim().split('\n')))
    }
    const syncOf = async (name: string) => {
      upstream.add(`subscriber/${name}`, 'latest', imageOf(`subscriber/${name}`, 500))
      await make(stack, '/remotes', localRemote(`example/${name}`, upstream.url, `subscriber/${name}`, { retries: 0 }))
      await make(stack, '/repositories', { name: `example/${name}` })
      await sync(stack, `example/${name}`, `example/${name}`)
      return `example/${name} is at version 1 from example/${name}: 1 tags added, 0 moved, 0 removed`
    }
    start()
    const first = await syncOf('one')
    await until('the first sync is told', async () => told.includes(first))
    await end('SIGKILL')
    const second = await syncOf('two')
    start()
    await until('the second sync is told', async () => told.includes(second))
    const third = await syncOf('three')
    await until('the third sync is told', async () => told.includes(third))
    await end('SIGTERM')
    expect(told.filter((line) => line.startsWith('example/'))).toEqual([first, second, third])
  }, 60_000)
})

test('an id that is no longer kept is told of, and what there is follows', async () => {
  const [{ least }] = (await query(
    stack.databaseUrl ?? '',
    `delete from tasks.event_log where id <= 5 returning (select min(id) from tasks.event_log where id > 5)::integer as least`,
  )) as [{ least: number }]
  const late = await listen(admin, '/events', '2')
  await late.untilHeard('catalog.repository.deleted', ({ name }) => name === 'shared/of-bob')
  expect(late.heard[0]).toEqual({ id: String(least - 1), event: 'gone', data: { after: 2, keptAfter: least - 1 } })
  expect(late.heard[1]?.id).toBe(String(least))
  const beyond = await listen(admin, '/events', '999999999')
  await beyond.untilHeard('catalog.repository.deleted')
  expect(beyond.heard[0]?.event).toBe('gone')
})

test('filters that can match nothing are refused with their place, and so is the 21st stream of an account', async () => {
  const refusal = async (path: string, login = admin as Login) => {
    const { status, body } = await apiAs(stack, login, 'GET', path)
    return { status, code: body.code, field: body.field, detail: body.detail }
  }
  expect(await refusal('/events?events=catalog.version.created,catalog.verion.*')).toMatchObject({
    status: 400,
    field: 'events[1]',
  })
  expect(await refusal('/events?repositories=team/[a')).toMatchObject({ status: 400, field: 'repositories[0]' })
  expect(await refusal('/events?after=x')).toMatchObject({ status: 400, field: 'Last-Event-ID' })
  await Promise.all(Array.from({ length: 20 }, () => listen(bob)))
  expect(await refusal('/events', bob)).toMatchObject({ status: 429, code: 'too_many_streams' })
})
