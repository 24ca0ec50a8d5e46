import { afterEach, expect, test } from '@jest/globals'
import { isFromHere } from './client-address.ts'
import { createLogger } from './logger.ts'
import { createMetrics } from './metrics.ts'
import { answerOperations, type Observed, requireMetricsReader } from './operations.ts'
import { closeServer, listen } from './service.ts'

const token = 'a_token_for_Prometheus-and-a-long.one'
const metrics = createMetrics()
const admin = {
  id: '1',
  name: 'admin',
  admin: true,
  rights: { accountId: '1', grants: [{ id: 'g', all: true, verbs: ['settings.read'] }] },
}
const ana = { id: '2', name: 'ana', admin: false, rights: { accountId: '2', grants: [] } }
const service: Observed = {
  name: 'catalog',
  unready: async () => undefined,
  checkMetricsReader: async ({ headers: { authorization } }) =>
    requireMetricsReader((authorization === 'Basic admin' ? admin : authorization ? ana : undefined) as never),
}

const log = createLogger({ service: 'test', silent: true })
const stop: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of stop.splice(0)) await end()
})

/** A listener that answers operators, on an address of this machine; gives what a request for metrics gets. */
async function ask(headers: Record<string, string> = {}, { host = '127.0.0.1', services = [service] } = {}) {
  const operations = { services, metrics, metricsToken: token, log }
  const { server, port } = await listen((request, response) => void answerOperations(request, response, operations), {
    port: 0,
    host,
  })
  stop.push(() => closeServer(server, 0))
  const at = host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
  const response = await fetch(`http://${at}:${port}/metrics`, { headers })
  return { status: response.status, text: await response.text() }
}
// A client elsewhere, as the proxy on this machine names it.
const far = { 'x-forwarded-for': '192.0.2.7' }

test('metrics are for this machine without a login, and for nobody else', async () => {
  for (const host of ['127.0.0.1', '::1', '::']) expect((await ask({}, { host })).status).toBe(200)
  const refused = await ask(far)
  expect(refused.status).toBe(401)
  expect(JSON.parse(refused.text)).toMatchObject({
    code: 'login_required',
    hint: expect.stringContaining('BERTH_METRICS_TOKEN'),
  })
})

test('a client elsewhere is not here because it says so', () => {
  const headers = { 'x-forwarded-for': '127.0.0.1' }
  expect(isFromHere({ headers, socket: { remoteAddress: '192.0.2.7' } })).toBe(false)
  expect(isFromHere({ headers, socket: { remoteAddress: '::ffff:127.0.0.1' } })).toBe(true)
})

test('metrics are for the token that is set, and for accounts that may read settings', async () => {
  const status = async (authorization: string) => (await ask({ ...far, authorization })).status
  expect(await status(`Bearer ${token}`)).toBe(200)
  expect(await status(`Bearer ${token.slice(1)}`)).toBe(403)
  expect(await status('Basic admin')).toBe(200)
  expect(await status('Basic ana')).toBe(403)
})

test('while nothing can read a login yet, that is said', async () => {
  const services = [{ name: 'berth', unready: async () => 'starting' }]
  expect((await ask({ ...far, authorization: 'Basic admin' }, { services })).status).toBe(503)
  expect((await ask({}, { services })).status).toBe(200)
})
