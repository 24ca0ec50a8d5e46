import { type KeyObject, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { createInternalClient, type InternalClient, readServicePrivateKey } from '@berth/service'
import { type ServiceName, serviceNames } from '@berth/standalone/origin'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { childPid, environmentOf, pidOf } from '../berth/replicas.ts'
import { basic, localRemote, make, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth({ own: true, env: { BERTH_PROCESSES: 'true' } })
const upstream = withUpstream()
const clients: InternalClient[] = []
const settings = new Map<ServiceName, Record<string, string>>()
beforeAll(() => {
  for (const name of serviceNames) settings.set(name, environmentOf(pidOf(stack, name)))
})
afterAll(async () => void (await Promise.all(clients.map((client) => client.close()))))

const settingOf = (name: ServiceName, variable: string) => settings.get(name)?.[variable] ?? ''
const keyOf = (name: ServiceName) => readServicePrivateKey(settingOf(name, 'BERTH_SERVICE_PRIVATE_KEY')) as KeyObject

/** A client with the key of one service, which may say that it is another one. */
function clientOf(to: ServiceName, { key, from = key }: { key: ServiceName; from?: string }): InternalClient {
  const baseUrl = settingOf(to, 'BERTH_INTERNAL_URL')
  const client = createInternalClient({ baseUrl, from, to, privateKey: keyOf(key) })
  clients.push(client)
  return client
}

test.each(['BERTH_SERVICE_PRIVATE_KEY', 'BERTH_NATS_SEED'])(
  'each service has a %s of its own, and none has that of another',
  (secret) => {
    const all = serviceNames.map((name) => settingOf(name, secret))
    expect(all).not.toContain('')
    expect(new Set(all).size).toBe(serviceNames.length)
    for (const name of serviceNames) {
      const given = JSON.stringify(settings.get(name))
      expect([name, all.filter((one) => given.includes(one))]).toEqual([name, [settingOf(name, secret)]])
    }
    expect(statSync(path.join(stack.home, 'secrets.json')).mode & 0o777).toBe(0o600)
  },
)

test('a service is who its key says, and hears what that one needs and nothing else', async () => {
  const ask = (client: InternalClient) => client.call('find-accounts', { names: ['admin'] })
  expect(await ask(clientOf('auth', { key: 'catalog' }))).toMatchObject({ accounts: [{ name: 'admin' }] })
  await expect(ask(clientOf('auth', { key: 'registry' }))).rejects.toMatchObject({ code: 'not_for_this_service' })
  await expect(ask(clientOf('auth', { key: 'registry', from: 'catalog' }))).rejects.toMatchObject({
    code: 'not_a_service',
  })
})

test('a service that was killed is heard again and hears the others, under the same key', async () => {
  const names = ['registry', 'sync'] as const
  const before = names.map((name) => pidOf(stack, name))
  for (const pid of before) process.kill(pid, 'SIGKILL')
  await until('both run again', () =>
    names.every((name, n) => ![undefined, before[n]].includes(childPid(stack, `berth-${name}`))),
  )
  await until('all is ready', async () => (await fetch(`${stack.url}/readyz`)).ok)
  for (const name of names) {
    const { BERTH_SERVICE_PRIVATE_KEY: key } = environmentOf(pidOf(stack, name))
    expect([name, key]).toEqual([name, settingOf(name, 'BERTH_SERVICE_PRIVATE_KEY')])
  }
  const repository = `keys/${randomUUID()}`
  await pushRandomImage({ url: stack.url, authorization: basic(stack) }, repository, '1')
  upstream.add('library/a', '1', imageOf('a', 1_000))
  await make(stack, '/remotes', localRemote('keys', upstream.url, 'library/a'))
  await sync(stack, repository, 'keys')
}, 60_000)

test('a service was refused nothing that it needs of NATS, and nothing was sent under one login', async () => {
  const collected = await stack.api('POST', '/store/gc', {})
  expect(collected.status).toBe(202)
  await stack.waitForTask(collected.body.id)
  const text = readFileSync(stack.output, 'utf8') + readFileSync(path.join(stack.home, 'nats', 'log'), 'utf8')
  expect(text).not.toMatch(/nats does not let|Violation|share one login/)
})

test('no key stands in what is written for people to read', () => {
  const logs = readdirSync(stack.home).filter((name) => name.includes('log'))
  expect(logs).not.toEqual([])
  const texts = [
    path.join(stack.home, 'nats', 'log'),
    stack.output,
    ...logs.map((name) => path.join(stack.home, name)),
  ].map((file) => readFileSync(file, 'utf8'))
  for (const name of serviceNames) {
    const { d = '' } = keyOf(name).export({ format: 'jwk' })
    for (const secret of [settingOf(name, 'BERTH_SERVICE_PRIVATE_KEY'), settingOf(name, 'BERTH_NATS_SEED'), d])
      expect(texts.filter((text) => text.includes(secret))).toEqual([])
  }
})
