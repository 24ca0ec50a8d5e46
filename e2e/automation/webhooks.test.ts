import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { apiAs, grant, makeUser } from '../access/people.ts'
import type { Answer } from '../berth/berth.ts'
import { query } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make, startSync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { type Receiver, signaturesBy, startReceiver } from './receiver.ts'
import { listenAs } from './server-sent.ts'

const stack = withBerth({ own: true, env: { BERTH_WEBHOOK_TRIES: '0,0,0' } })
const enc = encodeURIComponent
let receiver: Receiver
let ann: Login
let onTeam: string
let count = 0

beforeAll(async () => {
  receiver = await startReceiver()
  ann = await makeUser(stack, 'ann')
  onTeam = await grant(stack, { user: 'ann' }, 'owner', 'namespace:team')
  await grant(stack, { user: 'ann' }, 'owner', 'namespace:more')
}, 60_000)
afterAll(() => receiver?.stop())

type Hook = { name: string; path: string; secret: string }
/** Makes a webhook to a path of its own, as an administrator, who alone may name an address of this machine. */
async function hook(more: object = {}, prefix = 'team/'): Promise<Hook> {
  const n = ++count
  const body = { name: `${prefix}hook-${n}`, url: `${receiver.url}/${n}`, allowPrivateAddresses: true, ...more }
  const { name, secret } = await make(stack, '/webhooks', body)
  return { name, path: `/${n}`, secret }
}
const at = ({ name }: Hook, rest = '') => `/webhooks/${enc(name)}${rest}`
const deliveries = async (one: Hook): Promise<Answer['body'][]> =>
  (await stack.api('GET', at(one, '/deliveries'))).body.items
const untilDeliveries = (one: Hook, ...states: string[]) =>
  until(`deliveries of ${one.name} are ${states.join()}`, async () => {
    const found = await deliveries(one)
    return found.map(({ state }) => state).join() === states.join() ? found : undefined
  })
const repository = async (prefix = 'team') => {
  const name = `${prefix}/of-hooks-${++count}`
  await make(stack, '/repositories', { name })
  return name
}

test('an event arrives signed, and says under what name its content is pulled', async () => {
  const one = await hook({ events: ['catalog.tag.moved'], headers: { authorization: 'Bearer of-the-receiver' } })
  const target = { url: stack.url, authorization: basic(stack) }
  const { digest } = await pushRandomImage(target, 'team/pushed', '1.0')
  const received = await receiver.untilReceived(one.path)
  expect(received.body).toMatchObject({
    specversion: '1.0',
    type: 'dev.berth.catalog.tag.moved.v1',
    actor: stack.user,
    data: {
      name: 'team/pushed',
      repository: 'team/pushed',
      tag: '1.0',
      digest,
      reference: `${new URL(stack.url).host}/team/pushed:1.0`,
      tags: [{ tag: '1.0', to: digest, reference: `${new URL(stack.url).host}/team/pushed:1.0` }],
    },
  })
  expect(received.headers).toMatchObject({
    'content-type': 'application/cloudevents+json; charset=utf-8',
    'webhook-id': received.body.id,
    authorization: 'Bearer of-the-receiver',
  })
  expect(signaturesBy(one.secret, received)).toBe(1)
  const [delivery] = await untilDeliveries(one, 'delivered')
  const { body } = await stack.api('GET', at(one, `/deliveries/${delivery.id}`))
  expect(body).toMatchObject({ state: 'delivered', tries: 1, status: 204, attempts: [{ status: 204, error: null }] })
  expect(JSON.stringify(body)).not.toMatch(/of-the-receiver|whsec_/)
  expect(body.attempts[0].requestHeaders.authorization).toBe('…')
})

test('a webhook hears of what lies beside it, and of that what its account may see at that moment', async () => {
  await grant(stack, { user: 'ann' }, 'owner', 'namespace:else')
  const [mine, all] = [
    await hook({ events: ['catalog.repository.*'] }),
    await hook({ events: ['catalog.repository.*'] }, ''),
  ]
  // Ann makes it hers; what it may be sent to stays as the administrator said.
  expect((await apiAs(stack, ann, 'PATCH', at(mine), { repositories: [] })).body).toMatchObject({ account: 'ann' })
  const [seen, other] = [await repository(), await repository('else')]
  await receiver.untilReceived(all.path, ({ data }) => data.name === other)
  await receiver.untilReceived(mine.path, ({ data }) => data.name === seen)
  const hears = (one: Hook, name: string) => receiver.of(one.path).some(({ body }) => body.data.name === name)
  /** Makes repositories until it is with one as it should be, after all that is to be sent has been sent. */
  const untilSent = (what: string, isSo: (name: string) => boolean) =>
    until(what, async () => {
      const name = await repository()
      await receiver.untilReceived(all.path, ({ data }) => data.name === name)
      await until('nothing is to be sent', async () => {
        const waiting = await query(
          stack.databaseUrl ?? '',
          `select from tasks.webhook_place
           cross join tasks.event_log_head
           where webhook_place.last < event_log_head.last
              or exists (select from tasks.webhook_delivery where state = 'waiting')`,
        )
        return waiting.length === 0
      })
      return isSo(name) ? name : undefined
    })
  await stack.api('DELETE', `/grants/${onTeam}`)
  const unseen = await untilSent('is not sent', (name) => !hears(mine, name))
  await grant(stack, { user: 'ann' }, 'owner', 'namespace:team')
  const again = await untilSent('is sent again', (name) => hears(mine, name))
  const names = receiver.of(mine.path).map(({ body }) => body.data.name)
  expect(names).toContain(again)
  expect(names).not.toContain(unseen)
  expect(names).not.toContain(other)
})

test('who may see a webhook reads in its log what was sent as far as it may see that event, and nothing of an address', async () => {
  const ben = await makeUser(stack, 'ben')
  await grant(stack, { user: 'ben' }, 'maintainer', 'namespace:team')
  await make(stack, '/remotes', localRemote('else/source', stack.url, 'none'))
  const name = await repository()
  const one = await hook({ events: ['sync.run.failed'] })
  await startSync(stack, name, 'else/source')
  const [failed] = await untilDeliveries(one, 'delivered')
  const shown = async (login: Login, path: string) => (await apiAs(stack, login, 'GET', path)).body
  const ofSync = at(one, `/deliveries/${failed.id}`)
  expect((await stack.api('GET', ofSync)).body.attempts[0].requestBody).toContain('else/source')
  expect(await shown(ben, ofSync)).toMatchObject({
    type: 'sync.run.failed',
    attempts: [{ status: 204, requestHeaders: {}, requestBody: '', responseHeaders: null, responseBody: null }],
  })
  // Ann hears of more than who may see her webhook; what they both may see is shown to both.
  const body = { name: 'team', url: 'https://none.invalid/of-ann', events: ['catalog.repository.created'] }
  expect((await apiAs(stack, ann, 'POST', '/webhooks', body)).status).toBe(201)
  const [unseen, seen] = [await repository('more'), await repository()]
  const [later, earlier] = await untilDeliveries({ ...one, name: 'team' }, 'failed', 'failed')
  for (const [login, of, told] of [
    [ann, earlier, unseen],
    [ann, later, seen],
    [ben, later, seen],
  ] as const)
    expect((await shown(login, `/webhooks/team/deliveries/${of.id}`)).attempts[0].requestBody).toContain(told)
  const other = JSON.stringify(await shown(ben, `/webhooks/team/deliveries/${earlier.id}`))
  expect(other).not.toContain(unseen)
  expect(other).not.toContain('of-ann')
})

test('what fails is tried again, each try is in the log, and what failed for good can be sent again', async () => {
  const one = await hook({ events: ['catalog.repository.created'] })
  receiver.when(one.path, (response) => response.writeHead(500, { 'x-why': 'broken' }).end('x'.repeat(10_000)))
  const name = await repository()
  const [failed] = await untilDeliveries(one, 'failed')
  expect(failed).toMatchObject({ tries: 3, status: 500, error: 'it answered 500', nextTry: null })
  const { body } = await stack.api('GET', at(one, `/deliveries/${failed.id}`))
  expect(body.attempts).toHaveLength(3)
  expect(body.attempts[2]).toMatchObject({ status: 500, responseHeaders: { 'x-why': 'broken' } })
  expect(body.attempts[2].responseBody).toBe('x'.repeat(4_096))
  expect((await stack.api('GET', at(one))).body).toMatchObject({ failures: 3, active: true })
  receiver.when(one.path, (response) => response.writeHead(200).end())
  expect((await stack.api('POST', at(one, `/deliveries/${failed.id}/replay`))).status).toBe(202)
  const [again] = await untilDeliveries(one, 'delivered', 'failed')
  expect(again).toMatchObject({ replayOf: failed.id, tries: 1 })
  const ids = receiver.of(one.path).map(({ headers }) => headers['webhook-id'])
  expect(new Set(ids).size).toBe(1)
  expect(receiver.of(one.path)).toHaveLength(4)
  expect((await stack.api('GET', at(one))).body).toMatchObject({ failures: 0, failingSince: null })
  expect(receiver.of(one.path).every(({ body: sent }) => sent.data.name === name)).toBe(true)
  await query(
    stack.databaseUrl ?? '',
    `update tasks.webhook_delivery set created_at = now() - interval '8 days' where id = $1`,
    [failed.id],
  )
  expect((await stack.api('POST', at(one, `/deliveries/${failed.id}/replay`))).body).toMatchObject({
    status: 410,
    code: 'delivery_too_old',
  })
})

test('receivers that hang, reset or redirect keep nobody else waiting, and nothing follows a redirect', async () => {
  const events = { events: ['catalog.repository.created'] }
  const [hangs, resets, redirects, good] = [
    await hook(events),
    await hook(events),
    await hook(events),
    await hook(events),
  ]
  receiver.when(hangs.path, () => undefined)
  receiver.when(resets.path, (response) => response.destroy())
  receiver.when(redirects.path, (response) => response.writeHead(302, { location: `${receiver.url}/private` }).end())
  const startedAt = Date.now()
  for (let n = 0; n < 6; n++) await repository()
  await until('all six came to the good one', async () => receiver.of(good.path).length === 6)
  expect(Date.now() - startedAt).toBeLessThan(10_000)
  expect(receiver.of(hangs.path)).toHaveLength(2)
  const failed = Array.from({ length: 6 }, () => 'failed')
  const [reset] = await untilDeliveries(resets, ...failed)
  expect(reset.error).toMatch(/broke off/)
  const [redirected] = await untilDeliveries(redirects, ...failed)
  expect(redirected).toMatchObject({ status: 302, error: 'it answered 302' })
  expect(receiver.of('/private')).toEqual([])
  await stack.api('DELETE', at(hangs))
})

test('a receiver that says 410 is told nothing more, which is announced; one that is let go on hears of what comes', async () => {
  const one = await hook({ events: ['catalog.repository.created'] })
  const listening = await listenAs(
    stack,
    { user: stack.user, password: stack.password },
    '/events?events=tasks.webhook.*,catalog.repository.created',
  )
  receiver.when(one.path, (response) => response.writeHead(410).end())
  await repository()
  const { data } = await listening.untilHeard('tasks.webhook.disabled', ({ webhook }) => webhook === one.name)
  expect(data.data.reason).toMatch(/410/)
  expect((await stack.api('GET', at(one))).body).toMatchObject({ active: false, disabledBecause: data.data.reason })
  const missed = await repository()
  await listening.untilHeard('catalog.repository.created', (told) => told.name === missed)
  listening.stop()
  receiver.when(one.path, (response) => response.writeHead(204).end())
  expect((await stack.api('PATCH', at(one), { active: true })).body).toMatchObject({
    active: true,
    disabledBecause: null,
  })
  const name = await repository()
  await receiver.untilReceived(one.path, (body) => body.data.name === name)
  expect(receiver.of(one.path).map(({ body }) => body.data.name)).not.toContain(missed)
})

test('twenty failures over a day disable a webhook', async () => {
  const one = await hook({ events: ['catalog.repository.created'] })
  receiver.when(one.path, (response) => response.writeHead(503).end())
  await repository()
  await untilDeliveries(one, 'failed')
  await query(
    stack.databaseUrl ?? '',
    `update tasks.webhook set failures = 19, failing_since = now() - interval '25 hours' where name = $1`,
    [one.name],
  )
  await repository()
  await until('it is disabled', async () => !(await stack.api('GET', at(one))).body.active)
  expect((await stack.api('GET', at(one))).body.disabledBecause).toBe('20 tries over 24 hours failed')
})

test('for a day both the secret before and the new one sign', async () => {
  const own = `whsec_${randomBytes(32).toString('base64')}`
  const one = await hook({ events: ['catalog.repository.created'] })
  const changed = await stack.api('PATCH', at(one), { secret: own })
  expect(changed.status).toBe(200)
  expect(JSON.stringify(changed.body)).not.toContain(own)
  expect(Date.parse(changed.body.previousSecretUntil) - Date.now()).toBeGreaterThan(23 * 3_600_000)
  await repository()
  const received = await receiver.untilReceived(one.path)
  expect([signaturesBy(one.secret, received), signaturesBy(own, received)]).toEqual([1, 1])
  await query(stack.databaseUrl ?? '', 'update tasks.webhook set previous_until = now() where name = $1', [one.name])
  const name = await repository()
  const later = await receiver.untilReceived(one.path, (body) => body.data.name === name)
  expect([signaturesBy(one.secret, later), signaturesBy(own, later)]).toEqual([0, 1])
  const [{ stored }] = (await query(
    stack.databaseUrl ?? '',
    'select webhook::text as stored from tasks.webhook where name = $1',
    [one.name],
  )) as [{ stored: string }]
  expect(stored).not.toContain(own.slice(6))
})

test('an event is sent in the form that is asked for', async () => {
  const events = { events: ['catalog.repository.created'] }
  const [binary, slack, teams] = [
    await hook({ ...events, mode: 'binary' }),
    await hook({ ...events, format: 'slack' }),
    await hook({ ...events, format: 'teams' }),
  ]
  const name = await repository()
  const inHeaders = await receiver.untilReceived(binary.path)
  expect(inHeaders.headers).toMatchObject({
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-type': 'dev.berth.catalog.repository.created.v1',
    'ce-id': inHeaders.headers['webhook-id'],
  })
  expect(inHeaders.body).toMatchObject({ name })
  expect(signaturesBy(binary.secret, inHeaders)).toBe(1)
  const line = `Berth: catalog.repository.created ${name} by ${stack.user}`
  expect((await receiver.untilReceived(slack.path)).body).toEqual({ text: line })
  expect((await receiver.untilReceived(teams.path)).body).toMatchObject({
    type: 'message',
    attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', content: { body: [{ text: line }] } }],
  })
})

test('metrics tell of tries, and of what is due and not sent', async () => {
  const metric = async (start: string) => {
    const lines = (await (await fetch(`${stack.url}/metrics`)).text())
      .split('\n')
      .filter((line) => line.startsWith(start))
    expect(lines).toHaveLength(1)
    return Number(lines[0]?.split(' ').at(-1))
  }
  const [one, hangs] = [
    await hook({ events: ['catalog.repository.created'] }),
    await hook({ events: ['catalog.repository.created'] }),
  ]
  const before = await metric('berth_webhook_tries_total{result="delivered"}')
  receiver.when(hangs.path, () => undefined)
  for (let n = 0; n < 5; n++) await repository()
  await until('five came', async () => receiver.of(one.path).length === 5)
  await until(
    'tries are counted',
    async () => (await metric('berth_webhook_tries_total{result="delivered"}')) >= before + 5,
  )
  expect(await metric('berth_webhook_due')).toBeGreaterThanOrEqual(5)
  expect(await metric('berth_webhook_late_seconds')).toBeGreaterThan(0)
  await stack.api('DELETE', at(hangs))
  await until('nothing is due', async () => (await metric('berth_webhook_due')) === 0)
})

test('a test is tried once, of an inactive webhook too, and is no failure of it', async () => {
  const one = await hook({ active: false })
  receiver.when(one.path, (response) => response.writeHead(500).end())
  const { status, body, headers } = await stack.api('POST', at(one, '/test'))
  expect([status, headers.get('location')]).toEqual([202, expect.stringMatching(new RegExp(`/deliveries/${body.id}$`))])
  const [tested] = await untilDeliveries(one, 'failed')
  expect(tested).toMatchObject({ type: 'tasks.webhook.tested', eventId: null, tries: 1 })
  expect((await receiver.untilReceived(one.path)).body.data.webhook).toBe(one.name)
  expect((await stack.api('GET', at(one))).body.failures).toBe(0)
})

test.each<[string, object, number, string | undefined]>([
  ['a login in the URL', { url: 'https://user:secret-of-mine@example.org/' }, 400, 'url'],
  ['another scheme', { url: 'ftp://example.org/' }, 400, 'url'],
  ['no URL', { url: 'example.org' }, 400, 'url'],
  ['a private address', { url: 'https://10.1.2.3/' }, 400, 'url'],
  [
    'a metadata address, also where private ones are allowed',
    { url: 'http://169.254.169.254/', allowPrivateAddresses: true },
    400,
    'url',
  ],
  ['this machine by name', { url: 'https://localhost/' }, 400, 'url'],
  ['a secret that is short', { secret: `whsec_${btoa('short')}` }, 400, 'secret'],
  ['a secret of another form', { secret: 'a secret of forty characters and some more' }, 400, 'secret'],
  ['an event that is none', { events: ['catalog.verion.created'] }, 400, 'events[0]'],
  ['a repository that can be none', { repositories: ['Team/*'] }, 400, 'repositories[0]'],
  ['a header of Berth', { headers: { 'Webhook-Id': '1' } }, 400, 'headers.Webhook-Id'],
  ['a header that breaks the line', { headers: { 'x-a': 'b\nc' } }, 400, undefined],
  ['a field that is none', { adress: 1 }, 400, undefined],
])('%s is refused, and the field is named', async (_what, more, status, field) => {
  const body = { name: `team/bad-${++count}`, url: 'https://example.org/', ...more }
  const answer = await stack.api('POST', '/webhooks', body)
  expect({ status: answer.status, field: answer.body.field }).toMatchObject({
    status,
    ...(field === undefined ? {} : { field }),
  })
  expect(JSON.stringify(answer.body)).not.toMatch(/secret-of-mine|forty characters/)
})

test('an administrator, and whoever only stops a webhook or lets it go on, lends it no rights', async () => {
  const { name } = (await apiAs(stack, ann, 'POST', '/webhooks', { name: 'team/of-ann', url: 'https://example.org/' }))
    .body
  const one = { name, path: '', secret: '' }
  const change = async (body: object, as?: Login) =>
    (as ? await apiAs(stack, as, 'PATCH', at(one), body) : await stack.api('PATCH', at(one), body)).body.account
  expect(await change({ active: false })).toBe('ann')
  expect(await change({ allowPrivateAddresses: true, events: ['catalog.*'] })).toBe('ann')
  const bob = await makeUser(stack, 'bob')
  await grant(stack, { user: 'bob' }, 'maintainer', 'namespace:team')
  expect(await change({ active: true }, bob)).toBe('ann')
  expect(await change({ events: [] }, bob)).toBe('bob')
  // What nobody answers for any more would send nothing: whoever lets it go on answers for it.
  expect((await stack.api('DELETE', '/users/bob')).status).toBe(204)
  await until('bob is gone', async () => (await change({ active: true })) === stack.user)
})

test('only administrators open private addresses, and only they lead such a webhook elsewhere', async () => {
  const made = await apiAs(stack, ann, 'POST', '/webhooks', {
    name: 'team/anns',
    url: receiver.url,
    allowPrivateAddresses: true,
  })
  expect(made.status).toBe(403)
  const one = await hook({ headers: { 'x-key': 'of the receiver' } })
  expect((await apiAs(stack, ann, 'PATCH', at(one), { url: 'http://127.0.0.1:1/' })).status).toBe(403)
  expect((await apiAs(stack, ann, 'PATCH', at(one), { url: `${receiver.url}/elsewhere` })).status).toBe(403)
  // To another host its headers do not go along unasked.
  const moved = await stack.api('PATCH', at(one), { url: 'http://127.0.0.1:1/' })
  expect(moved).toMatchObject({ status: 400, body: { field: 'headers' } })
  expect((await stack.api('PATCH', at(one), { url: 'http://127.0.0.1:1/', headers: {} })).status).toBe(200)
  expect((await stack.api('POST', '/webhooks', { name: one.name, url: 'https://example.org/' })).body.code).toBe(
    'name_taken',
  )
})
