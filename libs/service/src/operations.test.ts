import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect, test } from '@jest/globals'
import { createMetrics } from './metrics.ts'
import { answerOperations, type Observed, requireMetricsReader } from './operations.ts'

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

type From = { address: string; headers?: Record<string, string> }

/** The status and the body that a request for metrics gets. */
async function ask({ address, headers = {} }: From, services: Observed[] = [service]) {
  const request = { url: '/metrics', headers, socket: { remoteAddress: address } } as unknown as IncomingMessage
  return new Promise<{ status: number; text: string }>((resolve) => {
    let status = 0
    const response = {
      writeHead: (code: number) => {
        status = code
        return response
      },
      end: (body: Buffer) => resolve({ status, text: body.toString() }),
      destroy: () => resolve({ status: 0, text: '' }),
    } as unknown as ServerResponse
    answerOperations(request, response, { services, metrics, metricsToken: token })
  })
}
const far = '192.0.2.7'

test('metrics are for this machine without a login, and for nobody else', async () => {
  expect((await ask({ address: '127.0.0.1' })).status).toBe(200)
  expect((await ask({ address: '::1' })).status).toBe(200)
  expect((await ask({ address: '::ffff:127.0.0.1' })).status).toBe(200)
  const refused = await ask({ address: far })
  expect(refused.status).toBe(401)
  expect(JSON.parse(refused.text)).toMatchObject({
    code: 'login_required',
    hint: expect.stringContaining('BERTH_METRICS_TOKEN'),
  })
})

test('a client behind a proxy is where the proxy says, and one elsewhere is not here because it says so', async () => {
  expect((await ask({ address: '127.0.0.1', headers: { 'x-forwarded-for': far } })).status).toBe(401)
  expect((await ask({ address: far, headers: { 'x-forwarded-for': '127.0.0.1' } })).status).toBe(401)
})

test('metrics are for the token that is set, and for accounts that may read settings', async () => {
  const status = async (authorization: string) => (await ask({ address: far, headers: { authorization } })).status
  expect(await status(`Bearer ${token}`)).toBe(200)
  expect(await status(`Bearer ${token.slice(1)}`)).toBe(403)
  expect(await status('Basic admin')).toBe(200)
  expect(await status('Basic ana')).toBe(403)
})

test('while nothing can read a login yet, that is said', async () => {
  const starting = [{ name: 'berth', unready: async () => 'starting' }]
  expect((await ask({ address: far, headers: { authorization: 'Basic admin' } }, starting)).status).toBe(503)
  expect((await ask({ address: '127.0.0.1' }, starting)).status).toBe(200)
})
