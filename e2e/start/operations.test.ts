import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { serviceNames } from '@berth/standalone/origin'
import { describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic } from '../berth/requests.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { startNatsAt } from '../servers/nats.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}
const textOf = async (stack: TestStack, where: string) => (await fetch(`${stack.url}${where}`)).text()
const readyzOf = async (stack: TestStack) => JSON.parse(await textOf(stack, '/readyz')) as Record<string, unknown>

const metricsToken = 'what-Prometheus-is-told-and-nobody-else'

/** Asks as a client that a proxy on this machine speaks for: without a login, and with each that there is. */
async function expectMetricsFor(stack: TestStack): Promise<void> {
  const statusOf = async (authorization?: string) => {
    const headers = { 'x-forwarded-for': '192.0.2.7', ...(authorization && { authorization }) }
    return (await fetch(`${stack.url}/metrics`, { headers })).status
  }
  const reader = { name: 'reader', password: 'may read nothing at all' }
  expect((await stack.api('POST', '/users', reader)).status).toBe(201)
  const asReader = basic({ user: reader.name, password: reader.password })
  expect(await statusOf()).toBe(401)
  expect(await statusOf(`Bearer ${metricsToken}`)).toBe(200)
  expect(await statusOf(`Bearer ${metricsToken}more`)).toBe(401)
  expect(await statusOf(basic(stack))).toBe(200)
  expect(await statusOf(basic({ ...stack, password: 'wrong' }))).toBe(401)
  expect(await statusOf(asReader)).toBe(403)
  await stack.api('POST', '/roles', { name: 'watcher', verbs: ['settings.read'] })
  await stack.api('POST', '/grants', { to: { user: reader.name }, role: 'watcher', on: '*' })
  expect(await statusOf(asReader)).toBe(200)
}

describe('with each service as a process of its own, and lines on standard output', () => {
  test('the public port has the metrics of all, told apart by service; the version and the log are where they belong', async () => {
    const env = { BERTH_PROCESSES: 'true', BERTH_LOG_OUTPUT: 'stdout', BERTH_METRICS_TOKEN: metricsToken }
    const stack = await startTestStack({ env })
    try {
      await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'measured/app', 'v1')
      const metrics = await textOf(stack, '/metrics')
      for (const service of ['front', ...serviceNames]) {
        expect(metrics).toContain(`berth_build_info{service="${service}",version="${version}"} 1`)
        expect(metrics).toMatch(new RegExp(`^berth_process_resident_memory_bytes\\{service="${service}"\\} \\d+$`, 'm'))
      }
      expect(metrics).toMatch(/^berth_http_request_duration_seconds_count\{service="registry"/m)
      const types = metrics.match(/^# TYPE \S+/gm) ?? []
      expect(new Set(types).size).toBe(types.length)
      await expectMetricsFor(stack)

      expect(await readyzOf(stack)).toMatchObject({ status: 'ready', version })
      expect(await textOf(stack, '/')).toContain(`This is Berth ${version}`)
      const lines = stack
        .logs()
        .split('\n')
        .filter((line) => line.startsWith('{'))
      const ready = lines.map((line) => JSON.parse(line)).filter(({ message }) => message.endsWith('is ready'))
      expect(new Set(ready.map(({ service }) => service))).toEqual(new Set(['standalone', ...serviceNames]))
      expect(ready.every((line) => line.version === version)).toBe(true)
      expect(existsSync(path.join(stack.home, 'berth.log'))).toBe(false)
    } finally {
      await stack.stop()
    }
  }, 60_000)
})

test('metrics are for this machine, for the token that is set and for accounts that may read settings', async () => {
  const stack = await startTestStack({ env: { BERTH_METRICS_TOKEN: metricsToken } })
  try {
    await expectMetricsFor(stack)
  } finally {
    await stack.stop()
  }
}, 60_000)

test('NATS that goes away and comes back is one line each time, a word in /readyz and a metric', async () => {
  const port = await freePort()
  let nats = await startNatsAt(port)
  const stack = await startTestStack({ external: { natsUrl: `nats://127.0.0.1:${port}` } })
  try {
    expect((await readyzOf(stack)).nats).toBeUndefined()
    expect(await textOf(stack, '/metrics')).toMatch(/^berth_nats_connected 1$/m)
    await nats.stop()
    await until('it is told', async () => (await readyzOf(stack)).nats === 'away')
    expect((await fetch(`${stack.url}/readyz`)).status).toBe(200)
    expect(await textOf(stack, '/metrics')).toMatch(/^berth_nats_connected 0$/m)
    // Events that cannot be announced, and workers that listen for work.
    for (const tag of ['v1', 'v2', 'v3'])
      await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'quiet/app', tag)
    nats = await startNatsAt(port)
    await until('it is told', async () => (await readyzOf(stack)).nats === undefined)
    const log = () => readFileSync(path.join(stack.home, 'berth.log'), 'utf8')
    // Lines go into the file together, a moment after they were said.
    await until('it is in the log', async () => log().includes('nats is back'))
    const lines = log().trim().split('\n')
    const said = lines.map((line) => JSON.parse(line) as { message: string; level: string })
    expect(said.filter(({ message }) => message.startsWith('nats is away')).length).toBe(1)
    expect(said.filter(({ message }) => message === 'nats is back').length).toBe(1)
    expect(said.filter(({ level }) => level === 'warn' || level === 'error').map(({ message }) => message)).toEqual([
      expect.stringContaining('the services share one login of NATS'),
      expect.stringContaining('nats is away'),
    ])
  } finally {
    await stack.stop()
    await nats.stop()
  }
}, 60_000)
